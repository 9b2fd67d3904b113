import { createHash } from 'node:crypto';

/** Namespace of the derived ids, fixed for ever: other ids would double rows that were copied already. */
const NAMESPACE = Buffer.from('6f2d1c9be1c14d0a9b5e2a7c3f80d411', 'hex');

/**
 * The id of a row that the old model held without one: a UUID of version 5
 * (RFC 9562 §5.5) of remodel, table, identity and place in the list, so that
 * everybody who copies the row gives it the same id.
 */
export function childId(remodel: string, table: string, identity: string, slot: number): string {
  const hash = createHash('sha1')
    .update(NAMESPACE)
    .update(JSON.stringify([remodel, table, identity, slot]))
    .digest();
  hash[6] = ((hash[6] as number) & 0x0f) | 0x50;
  hash[8] = ((hash[8] as number) & 0x3f) | 0x80;
  const hex = hash.toString('hex', 0, 16);
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}
