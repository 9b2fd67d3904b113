import { hash } from 'node:crypto';

/** Namespace of the derived ids, fixed for ever: other ids would double rows that were copied already. */
const NAMESPACE = Buffer.from('6f2d1c9be1c14d0a9b5e2a7c3f80d411', 'hex');

/**
 * The id of a row that the old model held without one: a UUID of version 5
 * (RFC 9562 §5.5) of remodel, table, identity and place in the list, so that
 * everybody who copies the row gives it the same id.
 */
export function childId(remodel: string, table: string, identity: string, slot: number): string {
  const name = Buffer.from(JSON.stringify([remodel, table, identity, slot]));
  const hex = hash('sha1', Buffer.concat([NAMESPACE, name]), 'hex');
  const variant = ((Number.parseInt(hex.charAt(16), 16) & 0x3) | 0x8).toString(16);
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-5${hex.slice(13, 16)}-${variant}${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
}
