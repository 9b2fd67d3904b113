import { Binary, deserialize, Long } from 'bson';
import { expect, test } from 'vitest';
import { rawEntry } from './entries.test-support.ts';
import { readEntry } from './entry.ts';
import { isPart, operationsAt, Transactions } from './transactions.ts';

const session = (n: number) => ({ id: new Binary(Buffer.alloc(16, n), 4) });

function part(who: number, txn: number, n: number, more: object = { partialTxn: true }) {
  const raw = rawEntry({
    op: 'c',
    ns: 'admin.$cmd',
    ui: undefined,
    lsid: session(who),
    txnNumber: Long.fromNumber(txn),
    o: { applyOps: [{ op: 'i', ns: 'shop.orders', o: { _id: n } }], ...more },
  });
  // In the middle of a block, which is gone when the next one is read.
  const block = Buffer.concat([Buffer.alloc(3), raw]);
  return readEntry(block, 3, true);
}

const numbers = (parts: readonly Buffer[]) => parts.map((raw) => deserialize(raw)['o'].applyOps[0].o._id);

test('parts are kept by session and number, in order, and given once', () => {
  const open = new Transactions([]);
  expect(open.isEmpty).toBe(true);
  for (const [who, txn, n] of [
    [1, 1, 10],
    [2, 1, 20],
    [1, 2, 30],
    [1, 1, 11],
  ] as const) {
    open.add(part(who, txn, n));
  }
  expect(numbers(open.take(part(1, 1, 0)))).toEqual([10, 11]);
  expect(open.take(part(1, 1, 0))).toEqual([]);
  expect(numbers(open.take(part(2, 1, 0)))).toEqual([20]);
  expect(numbers(open.take(part(1, 2, 0)))).toEqual([30]);
  expect(open.isEmpty).toBe(true);
});

test('parts are copies: the block they came in may be used again', () => {
  const open = new Transactions([]);
  const entry = part(1, 1, 10);
  open.add(entry);
  entry.buf.fill(0);
  expect(numbers(open.take(part(1, 1, 0)))).toEqual([10]);
});

test('what is remembered as JSON is what another process goes on with', () => {
  const open = new Transactions([]);
  open.add(part(1, 1, 10));
  open.add(part(1, 1, 11));
  open.add(part(2, 5, 20));
  const again = new Transactions(JSON.parse(JSON.stringify(open)));
  expect(JSON.stringify(again)).toBe(JSON.stringify(open));
  again.add(part(1, 1, 12));
  expect(numbers(again.take(part(1, 1, 0)))).toEqual([10, 11, 12]);
  expect(numbers(again.take(part(2, 5, 0)))).toEqual([20]);
});

test('unfinished and prepared entries are parts; the last one and a whole one are not', () => {
  expect(isPart(part(1, 1, 1))).toBe(true);
  expect(isPart(part(1, 1, 1, { prepare: true }))).toBe(true);
  expect(isPart(part(1, 1, 1, { partialTxn: true, prepare: true, count: 2 }))).toBe(true);
  expect(isPart(part(1, 1, 1, {}))).toBe(false);
  expect(isPart(part(1, 1, 1, { partialTxn: false, prepare: false }))).toBe(false);
});

test('the operations of an entry are found; a commit has none', () => {
  const entry = part(1, 1, 7);
  expect(entry.buf.readInt32LE(operationsAt(entry))).toBeGreaterThan(5);
  expect(operationsAt(readEntry(rawEntry({ op: 'c', o: { commitTransaction: 1 } }), 0, true))).toBe(-1);
});
