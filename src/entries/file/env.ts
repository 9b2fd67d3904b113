import { GodwitError } from '../../kernel/errors.ts';
import type { Token } from './token.ts';

const ASSIGNMENT = /^([ \t]*(?:export[ \t]+)?)([\w.-]+)([ \t]*=[ \t]*)/;

/** Text that shells and dotenv readers alike take as it stands, without quotes. */
const SAFE_BARE = /^[\w:/@.,?=&%+~[\]-]*$/;

/**
 * Finds a variable in an env file. The value is what stands between the quotes,
 * not unescaped: readers of such files do not agree on escapes, so a new value
 * is written in a way that needs none.
 */
export function locateEnv(text: string, key: string): Token | undefined {
  const found: Token[] = [];
  let offset = 0;
  for (const line of text.split('\n')) {
    const match = ASSIGNMENT.exec(line);
    if (match?.[2] === key) found.push(tokenOf(line.replace(/\r$/, ''), match[0].length, offset, key));
    offset += line.length + 1;
  }
  if (found.length > 1) {
    throw new GodwitError(
      'GW1001',
      `${key} is set ${found.length} times; leave one, so that the address has one place`,
    );
  }
  return found[0];
}

function tokenOf(line: string, from: number, offset: number, key: string): Token {
  const rest = line.slice(from);
  const quote = rest[0] === '"' || rest[0] === "'" ? rest[0] : '';
  let length: number;
  if (quote) {
    const close = closingQuote(rest, quote);
    if (close < 0) throw new GodwitError('GW1001', `The value of ${key} goes over several lines; it must stand in one`);
    length = close + 1;
  } else {
    length = rest.replace(/\s+#.*$/, '').trimEnd().length;
  }
  const raw = rest.slice(0, length);
  const start = offset + from;
  const value = quote ? raw.slice(1, -1) : raw;
  return { start, end: start + length, raw, value, encode: (next) => encodeEnv(next, quote, value, key) };
}

function closingQuote(text: string, quote: string): number {
  for (let i = 1; i < text.length; i += 1) {
    if (quote === '"' && text[i] === '\\') i += 1;
    else if (text[i] === quote) return i;
  }
  return -1;
}

/**
 * Characters that the present value holds already (a `$` of a placeholder) mean
 * in the new one what they meant before, within the same quotes.
 */
function encodeEnv(value: string, quote: string, before: string, key: string): string {
  if (/[\r\n]/.test(value)) throw new GodwitError('GW1001', `The new value of ${key} holds a line break`);
  const news = new Set([...value].filter((char) => !before.includes(char)));
  const needs = (chars: RegExp) => [...news].some((char) => chars.test(char));
  if (quote === "'" && !value.includes("'")) return `'${value}'`;
  if (quote === '"' && !needs(/["\\$`]/)) return `"${value}"`;
  if (quote === '' && (SAFE_BARE.test(value) || !needs(/[^\w:/@.,?=&%+~[\]-]/))) return value;
  if (!value.includes("'")) return `'${value}'`;
  if (!/["\\$`]/.test(value)) return `"${value}"`;
  throw new GodwitError(
    'GW1001',
    `The new value of ${key} cannot be written in an env file: it holds both kinds of quotes`,
  );
}
