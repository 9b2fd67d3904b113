import { serialize } from 'bson';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { MessageAssembler } from './assembler.ts';
import { BufferPool, MAX_MESSAGE_SIZE, POOLED_FROM } from './buffer-pool.ts';
import { buildMessage, FLAG, parseMessage, requestIdOf } from './message.ts';

const bson = (doc: object): Buffer => Buffer.from(serialize(doc));

describe('buildMessage', () => {
  test('frames a body as the specification shows it', () => {
    const body = bson({ ping: 1 });
    const message = Buffer.concat(buildMessage(body));
    expect(message.readInt32LE(0)).toBe(message.length);
    expect(message.readInt32LE(8)).toBe(0);
    expect(message.readInt32LE(12)).toBe(2013);
    expect(message.readUInt32LE(16)).toBe(0);
    expect(message[20]).toBe(0);
    expect(message.subarray(21).equals(body)).toBe(true);
  });

  test('does not copy the documents, whatever the size of the body', () => {
    for (const filler of [0, 20_000]) {
      const body = bson({ insert: 'c', filler: 'x'.repeat(filler) });
      const docs = [Buffer.concat([bson({ _id: 1 }), bson({ _id: 2 })]), Buffer.alloc(0), bson({ _id: 3 })];
      const pieces = buildMessage(body, { identifier: 'documents', bytes: docs });
      expect(pieces.includes(docs[0]!) && pieces.includes(docs[2]!)).toBe(true);
      const message = Buffer.concat(pieces);
      expect(message.readInt32LE(0)).toBe(message.length);
      expect(parseMessage(message).body.equals(body)).toBe(true);
      const section = 21 + body.length;
      expect(message[section]).toBe(1);
      expect(message.readInt32LE(section + 1)).toBe(message.length - section - 1);
      expect(message.toString('utf8', section + 5, section + 15)).toBe('documents\0');
      expect(message.subarray(section + 15).equals(Buffer.concat(docs))).toBe(true);
    }
  });

  test('gives every message an id of its own', () => {
    const body = bson({ ping: 1 });
    const ids = new Set([1, 2, 3].map(() => requestIdOf(buildMessage(body))));
    expect(ids.size).toBe(3);
  });
});

describe('parseMessage', () => {
  test('leaves a checksum out and finds the body behind a sequence', () => {
    const body = bson({ ok: 1 });
    const sequence = Buffer.from('010700000061620000', 'hex').subarray(0, 8);
    const flags = Buffer.from([FLAG.checksumPresent, 0, 0, 0]);
    const rest = Buffer.concat([flags, sequence, Buffer.from([0]), body, Buffer.from('deadbeef', 'hex')]);
    const header = Buffer.alloc(16);
    header.writeInt32LE(16 + rest.length, 0);
    header.writeInt32LE(77, 4);
    header.writeInt32LE(5, 8);
    header.writeInt32LE(2013, 12);
    const parsed = parseMessage(Buffer.concat([header, rest]));
    expect(parsed).toMatchObject({ requestId: 77, responseTo: 5, flags: FLAG.checksumPresent });
    expect(parsed.body.equals(body)).toBe(true);
  });

  test('takes nothing but OP_MSG with a body', () => {
    const lost = expect.objectContaining({ code: 'GW3001' });
    const message = Buffer.concat(buildMessage(bson({ ok: 1 })));
    message[20] = 7;
    expect(() => parseMessage(message)).toThrow(lost);
    message.writeInt32LE(1, 12);
    expect(() => parseMessage(message)).toThrow(lost);
  });
});

describe('MessageAssembler', () => {
  const sizes = fc.array(fc.oneof(fc.nat(200), fc.integer({ min: POOLED_FROM - 50, max: 3 * POOLED_FROM })), {
    minLength: 1,
    maxLength: 6,
  });

  test('puts messages together, however the stream is cut', () => {
    fc.assert(
      fc.property(sizes, fc.integer({ min: 1, max: 100_000 }), fc.boolean(), (fillers, cut, direct) => {
        const sent = fillers.map((filler, i) => Buffer.concat(buildMessage(bson({ i, filler: 'x'.repeat(filler) }))));
        const stream = Buffer.concat(sent);
        const got: Buffer[] = [];
        const pool = new BufferPool();
        const assembler = new MessageAssembler(
          (message, pooled) => {
            got.push(Buffer.from(message));
            expect(pooled !== undefined).toBe(message.length >= POOLED_FROM);
            if (pooled) pool.give(pooled.fill(0xaa));
          },
          pool,
          { scratch: direct },
        );
        for (let at = 0; at < stream.length; ) {
          if (direct) {
            const target = assembler.readTarget();
            const size = Math.min(cut, target.length, stream.length - at);
            stream.copy(target, 0, at, at + size);
            assembler.wasRead(size);
            at += size;
          } else {
            assembler.push(stream.subarray(at, at + cut));
            at += cut;
          }
        }
        expect(got.length).toBe(sent.length);
        for (const [i, message] of got.entries()) expect(message.equals(sent[i]!)).toBe(true);
      }),
      { numRuns: 60 },
    );
  });

  test('a length that cannot be is the end', () => {
    const assembler = new MessageAssembler(() => {}, new BufferPool(), { scratch: true });
    expect(() => assembler.push(Buffer.from('HTTP/1.1 400 Bad Request\r\n'))).toThrow(
      expect.objectContaining({ code: 'GW3001' }),
    );
  });
});

describe('BufferPool', () => {
  test('hands the same memory out again, up to its bound', () => {
    const pool = new BufferPool(20 * 1024 * 1024);
    const first = pool.take(16 * 1024 * 1024 + 400);
    const second = pool.take(16 * 1024 * 1024);
    pool.give(first);
    pool.give(second);
    expect(pool.cachedBytes).toBe(first.length);
    // Compared outside of expect, which would look into all the bytes.
    expect(pool.take(16 * 1024 * 1024 - 5) === first).toBe(true);
    expect(pool.take(16 * 1024 * 1024 - 5) === second).toBe(false);
    pool.give(Buffer.alloc(100));
    expect(pool.cachedBytes).toBe(0);
    expect(pool.take(MAX_MESSAGE_SIZE).length).toBe(MAX_MESSAGE_SIZE);
    expect(() => pool.take(MAX_MESSAGE_SIZE + 1)).toThrow(RangeError);
  });
});
