import { Binary, Double, deserialize, Long, serialize, Timestamp } from 'bson';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { arbDocument } from '../bson/arbitraries.test-support.ts';
import { rawEntry, UUID } from './entries.test-support.ts';
import { forEachOperation, type LogEntry, namespaceText, OP, opName, readEntry } from './entry.ts';

const document = (entry: LogEntry, at: number) =>
  at < 0 ? undefined : deserialize(entry.buf.subarray(at, at + entry.buf.readInt32LE(at)));

test('an insert, all of it', () => {
  const buf = Buffer.concat([Buffer.alloc(7, 0xff), rawEntry({ o: { _id: 1, a: 'x' } })]);
  const entry = readEntry(buf, 7, true);
  expect(entry.start).toBe(7);
  expect(entry.end).toBe(buf.length);
  expect(entry.op).toBe(OP.insert);
  expect(opName(entry)).toBe('i');
  expect(namespaceText(entry)).toBe('shop.orders');
  expect(buf.toString('hex', entry.uuidStart, entry.uuidStart + 16)).toBe(UUID);
  expect(document(entry, entry.o)).toEqual({ _id: 1, a: 'x' });
  expect(entry.oEnd - entry.o).toBe(buf.readInt32LE(entry.o));
  expect(entry.o2).toBe(-1);
  expect(entry.ts).toBe('0000000500000001');
  expect(entry.wallMs).toBe(1_700_000_000_123);
  expect(entry.lsid).toBe(-1);
  expect(entry.txnNumber).toBeUndefined();
});

test.each([
  ['an update', { op: 'u', o: { $v: 2, diff: { u: { a: 1 } } }, o2: { _id: 1 } }, OP.update],
  ['a delete', { op: 'd', o: { _id: 1 } }, OP.delete],
  ['a command', { op: 'c', ns: 'shop.$cmd', o: { drop: 'orders' }, o2: { numRecords: 1 } }, OP.command],
  ['a no-op without identity', { op: 'n', ns: '', ui: undefined, o: { msg: 'x' } }, OP.noop],
])('%s', (_what, fields, op) => {
  const entry = readEntry(rawEntry(fields), 0, true);
  expect(entry.op).toBe(op);
  expect(document(entry, entry.o)).toEqual(fields.o);
  expect(document(entry, entry.o2)).toEqual('o2' in fields ? fields.o2 : undefined);
  expect(entry.uuidStart >= 0).toBe(!('ui' in fields));
});

test('operations of two letters are not taken for those of one', () => {
  const entry = readEntry(rawEntry({ op: 'xi' }), 0, false);
  expect(entry.op).not.toBe(OP.insert);
  expect(Object.values(OP)).not.toContain(entry.op);
  expect(opName(entry)).toBe('xi');
});

test('fields are told by whole name and type; those it does not know are passed over', () => {
  const decoys = {
    ob: { _id: 'no' },
    oo: { _id: 'no' },
    n: 'no.no',
    opp: 'd',
    u: 1,
    tsx: new Timestamp({ t: 9, i: 9 }),
    walls: new Date(1),
    lsids: { id: 1 },
    txnNumbers: Long.fromNumber(9),
    stmtId: 3,
    prevOpTime: { ts: new Timestamp({ t: 4, i: 4 }), t: Long.fromNumber(1) },
    ...{ fromMigrate: true, needsRetryImage: 'preImage', checkExistenceForDiffInsert: true },
  };
  const plain = readEntry(rawEntry({}), 0, true);
  const entry = readEntry(rawEntry(decoys), 0, true);
  for (const key of ['op', 'ts', 'wallMs', 'txnNumber'] as const) expect(entry[key]).toEqual(plain[key]);
  expect(namespaceText(entry)).toBe('shop.orders');
  expect(document(entry, entry.o)).toEqual({ _id: 1 });
  expect(entry.lsid).toBe(-1);
});

test('session and number of a transaction', () => {
  const lsid = { id: new Binary(Buffer.alloc(16, 7), 4), uid: new Binary(Buffer.alloc(32, 1), 0) };
  const entry = readEntry(rawEntry({ lsid, txnNumber: Long.fromString('9007199254740993') }), 0, false);
  expect(entry.buf.subarray(entry.lsid, entry.lsidEnd).equals(Buffer.from(serialize(lsid)))).toBe(true);
  expect(entry.txnNumber).toBe(9_007_199_254_740_993n);
  expect(entry.ts).toBeUndefined();
});

test('any document is found whole, in any order of fields', () => {
  fc.assert(
    fc.property(arbDocument, arbDocument, fc.string({ maxLength: 20 }), fc.boolean(), (o, o2, ns, turned) => {
      const fields = { op: 'u', ns, o2, o, ts: new Timestamp({ t: 1, i: 2 }), wall: new Date(5) };
      const raw = serialize(turned ? Object.fromEntries(Object.entries(fields).reverse()) : fields);
      const entry = readEntry(Buffer.from(raw), 0, true);
      expect(namespaceText(entry)).toBe(ns);
      expect(entry.buf.subarray(entry.o, entry.oEnd).equals(Buffer.from(serialize(o)))).toBe(true);
      expect(
        entry.buf.subarray(entry.o2, entry.o2 + entry.buf.readInt32LE(entry.o2)).equals(Buffer.from(serialize(o2))),
      ).toBe(true);
      expect(entry.ts).toBe('0000000100000002');
      expect(entry.wallMs).toBe(5);
    }),
    { numRuns: 100 },
  );
});

test('the operations of a transaction are entries too, in order', () => {
  const ui = new Binary(Buffer.from(UUID, 'hex'), 4);
  const operations = [
    { op: 'i', ns: 'shop.orders', ui, o: { _id: new Double(1) }, o2: { _id: new Double(1) } },
    { op: 'u', ns: 'shop.orders', ui, o: { $v: 2, diff: {} }, o2: { _id: 1 } },
    { op: 'd', ns: 'bank.x', ui, o: { _id: 2 } },
  ];
  const buf = rawEntry({ op: 'c', ns: 'admin.$cmd', ui: undefined, o: { applyOps: operations } });
  const entry = readEntry(buf, 0, true);
  const array = entry.o + 4 + 'xapplyOps\0'.length;
  const seen: string[] = [];
  forEachOperation(buf, array, (one) => seen.push(`${opName(one)} ${namespaceText(one)} ${one.uuidStart >= 0}`));
  expect(seen).toEqual(['i shop.orders true', 'u shop.orders true', 'd bank.x true']);
});
