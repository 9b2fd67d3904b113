import { Long, serialize, Timestamp } from 'bson';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { arbDocument } from '../bson/arbitraries.test-support.ts';
import { sliceBatch } from './cursor-batch.ts';

const bson = (doc: object): Buffer => Buffer.from(serialize(doc));

function reply(name: 'firstBatch' | 'nextBatch', docs: object[], id = Long.fromString('7234567890123456789')): Buffer {
  return bson({
    cursor: { [name]: docs, postBatchResumeToken: { _data: 'aa' }, id, ns: 'db.c' },
    ok: 1,
    $clusterTime: { clusterTime: new Timestamp({ t: 5, i: 1 }) },
    operationTime: new Timestamp({ t: 4, i: 2 }),
  });
}

describe('sliceBatch', () => {
  test('lays any documents back to back', () => {
    fc.assert(
      fc.property(
        fc.array(arbDocument, { maxLength: 120 }),
        fc.constantFrom('firstBatch', 'nextBatch'),
        (docs, name) => {
          const bytes = docs.map((doc) => Buffer.from(serialize(doc, { checkKeys: false })));
          const batch = sliceBatch(reply(name, docs));
          expect(batch.docs.equals(Buffer.concat(bytes))).toBe(true);
          expect(batch.count).toBe(docs.length);
          expect(batch.first).toBe(docs.length === 0 ? -1 : 0);
          expect(batch.last).toBe(docs.length === 0 ? -1 : batch.docs.length - bytes.at(-1)!.length);
        },
      ),
    );
  });

  test('works in place, and what stands around the batch can still be read', () => {
    const body = reply(
      'nextBatch',
      Array.from({ length: 1200 }, (_, i) => ({ _id: i, text: 'x'.repeat(i % 90) })),
    );
    const batch = sliceBatch(body);
    expect(batch.docs.buffer).toBe(body.buffer);
    expect(batch.cursorId).toBe(7234567890123456789n);
    expect(batch.operationTime()).toBe((4n << 32n) | 2n);
    expect(batch.clusterTime()?.equals(bson({ clusterTime: new Timestamp({ t: 5, i: 1 }) }))).toBe(true);
    expect(batch.postBatchResumeToken()?.equals(bson({ _data: 'aa' }))).toBe(true);
  });

  test('an exhausted cursor, and a reply without the extras', () => {
    const batch = sliceBatch(bson({ cursor: { id: Long.ZERO, ns: 'db.c', firstBatch: [] }, ok: 1 }));
    expect([batch.cursorId, batch.count, batch.docs.length]).toEqual([0n, 0, 0]);
    expect([batch.operationTime(), batch.clusterTime(), batch.postBatchResumeToken()]).toEqual([
      undefined,
      undefined,
      undefined,
    ]);
  });

  test('throws what the server says', () => {
    const body = bson({ ok: 0, code: 136, codeName: 'CappedPositionLost', errmsg: 'gone' });
    expect(() => sliceBatch(body, 'read the oplog')).toThrow(
      expect.objectContaining({ code: 'GW4001', message: 'read the oplog: gone (CappedPositionLost)' }),
    );
  });

  test('a broken batch is a bug, not an endless loop', () => {
    const body = reply('nextBatch', [{ a: 1 }, { b: 2 }]);
    const at = body.indexOf(Buffer.from('0330000c', 'hex'));
    body[at + 3] = 0x7f;
    expect(() => sliceBatch(body)).toThrow(expect.objectContaining({ code: 'GW9001' }));
  });
});
