import { hash } from 'node:crypto';

/** Of what is hashed for a derived id, all that is the same for a whole table; slot, `]` and identity follow. */
export function childIdPrefix(remodel: string, table: string): string {
  return `${JSON.stringify(['godwit', remodel, table]).slice(0, -1)},`;
}

/**
 * The id of a row that the old model held without one: a UUID of version 8
 * (RFC 9562 §5.8) from the SHA-256 of remodel, table, place in the list and
 * identity, so that everybody who copies the row gives it the same id, a
 * database too. Fixed for ever: other ids would double rows that were copied
 * already.
 */
export function childId(remodel: string, table: string, identity: string, slot: number): string {
  return childIdFrom(childIdPrefix(remodel, table), identity, slot);
}

/** `childId` by the prefix of its table. */
export function childIdFrom(prefix: string, identity: string, slot: number): string {
  const hex = hash('sha256', `${prefix}${slot}]${identity}`, 'hex');
  // Whole bytes of version and variant are fixed: ten bits less of the hash, and a database needs no arithmetic.
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-80${hex.slice(14, 16)}-80${hex.slice(18, 20)}-${hex.slice(20, 32)}`;
}
