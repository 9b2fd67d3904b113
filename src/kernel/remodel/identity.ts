import { GodwitError } from '../errors.ts';
import type { ColumnType, Value } from './column.ts';
import type { Model } from './model.ts';
import type { Identity } from './store.ts';

/** A key as an application may have it: drivers give 64-bit integers as text, number or bigint. */
export type KeyValue = string | number | bigint;

const LIMITS = { integer: [-(2n ** 31n), 2n ** 31n - 1n], bigint: [-(2n ** 63n), 2n ** 63n - 1n] } as const;
const UUID = /^[0-9a-f]{8}-?([0-9a-f]{4}-?){3}[0-9a-f]{12}$/i;

/**
 * The one text form of a key, the same as the database's own: decimal digits,
 * or a UUID in lower case with hyphens, or the text as it is.
 * @throws GodwitError GW5008 when the value does not fit the type of the key column.
 */
export function identityOf(model: Model, key: KeyValue): Identity {
  const type = keyType(model);
  const value = canonical(type, key);
  if (value === undefined)
    throw new GodwitError('GW5008', `Remodel ${model.name}: a key of type ${typeof key} does not fit ${type}`);
  return String(value);
}

/**
 * The value that rows have for an identity in their key column.
 * @throws GodwitError GW5008 when the text is no key of this model.
 */
export function keyOfIdentity(model: Model, identity: Identity): Value {
  const type = keyType(model);
  const value = canonical(type, identity);
  if (value === undefined) throw new GodwitError('GW5008', `Remodel ${model.name}: an identity that is no ${type}`);
  return type === 'integer' ? Number(value) : value;
}

function keyType(model: Model): ColumnType {
  const type = model.from.columns[model.key]?.type;
  if (type === 'text' || type === 'uuid' || type === 'integer' || type === 'bigint') return type;
  throw new GodwitError(
    'GW1006',
    `Remodel ${model.name}: the key is of type ${type}; a key is text, uuid, integer or bigint`,
  );
}

function canonical(type: ColumnType, key: KeyValue): string | bigint | undefined {
  if (type === 'text') return typeof key === 'string' ? key : undefined;
  if (type === 'uuid') return typeof key === 'string' ? canonicalUuid(key) : undefined;
  const [least, most] = LIMITS[type as keyof typeof LIMITS];
  const value = toBigInt(key);
  return value !== undefined && value >= least && value <= most ? value : undefined;
}

function toBigInt(key: KeyValue): bigint | undefined {
  if (typeof key === 'bigint') return key;
  if (typeof key === 'number') return Number.isSafeInteger(key) ? BigInt(key) : undefined;
  return /^-?\d{1,20}$/.test(key) ? BigInt(key) : undefined;
}

/** Lower case with hyphens; undefined when it is no UUID. */
export function canonicalUuid(text: string): string | undefined {
  if (!UUID.test(text)) return undefined;
  const hex = text.replaceAll('-', '').toLowerCase();
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}
