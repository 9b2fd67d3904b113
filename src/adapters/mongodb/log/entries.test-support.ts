/** Oplog entries as the server writes them, for tests. */
import { Binary, type Document, Long, serialize, Timestamp } from 'bson';
import type { TrackedCollection } from './tracked.ts';

export const UUID = '00112233445566778899aabbccddeeff';

/** The raw entry; `fields` are added to or replace those of an insert. */
export function rawEntry(fields: Document): Buffer {
  const entry: Document = {
    lsid: undefined,
    txnNumber: undefined,
    op: 'i',
    ns: 'shop.orders',
    ui: new Binary(Buffer.from(UUID, 'hex'), 4),
    o: { _id: 1 },
    ts: new Timestamp({ t: 5, i: 1 }),
    t: Long.fromNumber(1),
    v: Long.fromNumber(2),
    wall: new Date(1_700_000_000_123),
    ...fields,
  };
  return Buffer.from(serialize(entry, { ignoreUndefined: true }));
}

export function trackedOfTests(over: Partial<TrackedCollection> = {}): TrackedCollection {
  return {
    uuid: UUID,
    source: { db: 'shop', name: 'orders' },
    target: { db: 'shop', collection: 'orders' },
    skipUntil: '' as TrackedCollection['skipUntil'],
    fuzzyUntil: '' as TrackedCollection['fuzzyUntil'],
    sequential: false,
    capped: false,
    ghost: false,
    ...over,
  };
}
