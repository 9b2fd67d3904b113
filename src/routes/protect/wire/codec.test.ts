import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Message } from '../engine/messages.ts';
import { decodeMessage, encodeMessage } from './codec.ts';

const count = fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER });
const crc = fc.integer({ min: 0, max: 0xffffffff });
const bytes = fc.uint8Array({ maxLength: 300 }).map((array) => Buffer.from(array));
const records = fc.array(fc.uint8Array({ minLength: 64, maxLength: 64 })).map((all) => Buffer.concat(all));
const mark = fc.record({ sequence: count, crc });
const point = fc.record({ sequence: count, crc, place: count });
const standing = fc.record({ base: point, last: point, lastEpoch: count, activated: count, stale: fc.boolean() });

/** One of every type: a new one that nobody thought of here does not compile. */
const ALL: { readonly [T in Message['type']]: fc.Arbitrary<Omit<Extract<Message, { type: T }>, 'type' | 'epoch'>> } = {
  prepare: fc.record({ owner: fc.constantFrom('primary' as const, 'dr' as const) }),
  promise: fc.record({ granted: fc.boolean(), promised: count, standing }),
  fenced: fc.record({ promised: count, activated: count }),
  beat: fc.record({ at: fc.double({ noNaN: true, noDefaultInfinity: true, min: 0 }) }),
  lease: fc.record({ at: fc.double({ noNaN: true, noDefaultInfinity: true, min: 0 }) }),
  order: fc.record(
    { records, settled: mark, restart: fc.record({ sequence: count, crc, place: count, until: count }) },
    { requiredKeys: ['records', 'settled'] },
  ),
  ordered: fc.record({ last: point, released: point, missing: fc.boolean(), stale: fc.boolean() }),
  data: fc.record({ sequence: count, crc, payload: bytes }),
  stored: fc.record({ released: count, blocks: fc.array(mark) }),
  share: fc.record({ blocks: fc.array(bytes), tail: point, refill: fc.boolean(), copied: fc.array(count) }),
  shared: fc.record({ last: point, missing: fc.boolean() }),
  mount: fc.record({ attempt: count }),
  mountable: fc.record({ attempt: count, where: fc.string() }, { requiredKeys: ['attempt'] }),
  fetch: fc.record({ from: count, only: fc.array(mark) }, { requiredKeys: ['from'] }),
  blocks: fc.record(
    { from: count, blocks: fc.array(bytes), lacks: fc.array(count), copied: fc.array(count) },
    { requiredKeys: ['from', 'blocks', 'copied'] },
  ),
  'ask-table': fc.constant({}),
  table: fc.record({ base: point, last: point, copied: fc.array(fc.tuple(count, count)) }),
  compare: fc.record({ token: count, at: mark, size: count, chunks: fc.array(count) }),
  compared: fc.record({ token: count, chunks: fc.array(count), hashes: fc.array(fc.option(fc.string())) }),
  join: fc.record({ nonce: count }),
  known: fc.record({ nonce: count, promised: count, activated: count }),
  empty: fc.record({ nonce: count }),
  marked: fc.record({ nonce: count, until: count, size: count }),
  grow: fc.record({ size: count }),
  grown: fc.record({ size: count }),
  yield: fc.record({ run: count, stallMs: count }),
  yielded: fc.record({ run: count, last: point }),
  kept: fc.record({ run: count, why: fc.string() }),
  resign: fc.constant({}),
  activate: fc.constant({}),
  activated: fc.constant({}),
  invite: fc.record({ run: count, base: point, stale: fc.boolean(), size: count }),
  parted: fc.record(
    { run: count, session: count, follows: count, touched: bytes, all: fc.boolean(), last: point },
    { requiredKeys: ['run', 'session', 'all', 'last'] },
  ),
  noted: fc.record({ run: count, session: count }),
  'ask-units': fc.record({ run: count, session: count, token: count, chunk: count }),
  units: fc.record({ run: count, session: count, token: count, chunk: count, hashes: bytes }),
  chunk: fc.record({
    ...{ run: count, session: count, token: count, chunk: count },
    ...{ units: fc.array(count), payload: bytes },
  }),
  have: fc.record({ run: count, session: count, token: count, chunk: count, hash: fc.string() }),
  prove: fc.record({ run: count, session: count, token: count, from: count, count }),
  proof: fc.record({ run: count, session: count, token: count, hashes: fc.array(fc.string()) }),
  handed: fc.record({ as: count, origin: point }),
};

test.each(Object.keys(ALL) as Message['type'][])('%s comes out as it went in', (type) => {
  fc.assert(
    fc.property(count, ALL[type] as fc.Arbitrary<object>, (epoch, rest) => {
      const message = { type, epoch, ...rest } as Message;
      const decoded = decodeMessage(Buffer.concat(encodeMessage(message)));
      expect(plain(decoded)).toEqual(plain(message));
    }),
  );
});

test('an order of one operation is 64 bytes and hardly more', () => {
  const settled = { sequence: 7, crc: 1 };
  const parts = encodeMessage({ type: 'order', epoch: 2, records: Buffer.alloc(64), settled });
  expect(Buffer.concat(parts).length).toBeLessThanOrEqual(64 + 24);
});

test('what is cut off is an error, not a message', () => {
  const whole = Buffer.concat(
    encodeMessage({ type: 'blocks', epoch: 1, from: 1, blocks: [Buffer.alloc(100)], copied: [] }),
  );
  expect(() => decodeMessage(whole.subarray(0, whole.length - 1))).toThrow();
  expect(() => decodeMessage(Buffer.from([3, 1]))).toThrow();
});

/** Views of different memory with the same bytes are the same. */
function plain(message: Message): unknown {
  return JSON.parse(JSON.stringify(message));
}
