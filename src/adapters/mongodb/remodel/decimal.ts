import { Decimal128 } from 'bson';
import { mistyped } from './mistyped.ts';

const PARTS = /^(-?)(\d+)(?:\.(\d+))?(?:E([+-]\d+))?$/;
/** More zeros than this after the point are written with an exponent. */
const MOST_ZEROS = 100;

/**
 * A Decimal128 as the text that gives back the same 16 bytes: plain digits
 * with the stored scale; with an exponent only where the stored exponent is
 * above zero (1E+3 is not 1000) or far below.
 * @throws GodwitError GW5006 for an encoding that no text stands for (a NaN with a payload).
 */
export function decimalText(bytes: Uint8Array): string {
  const decimal = new Decimal128(Buffer.from(bytes));
  const text = plain(decimal.toString());
  if (Buffer.compare(Decimal128.fromString(text).bytes, bytes) !== 0)
    throw mistyped('a decimal in an encoding that is not the canonical one');
  return text;
}

/** @throws GodwitError GW5006 when the text is no number of at most 34 digits. */
export function parseDecimal(text: string): Decimal128 {
  try {
    return Decimal128.fromString(text);
  } catch {
    throw mistyped('a numeric value that a Decimal128 does not hold exactly');
  }
}

function plain(text: string): string {
  const parts = PARTS.exec(text);
  if (parts === null) return text;
  const [, sign = '', whole = '', fraction = '', exponentText = '0'] = parts;
  const scale = fraction.length - Number(exponentText);
  if (scale < 0 || scale > MOST_ZEROS) return text;
  const digits = (whole + fraction).replace(/^0+/, '').padStart(scale + 1, '0');
  return scale === 0 ? sign + digits : `${sign}${digits.slice(0, -scale)}.${digits.slice(-scale)}`;
}
