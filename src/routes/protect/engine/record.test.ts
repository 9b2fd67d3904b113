import { expect, test } from 'vitest';
import { decodeRecord, encodeRecord, type Kind, type OpRecord, RECORD_BYTES } from './record.ts';

const FIELDS: Omit<OpRecord, 'crc'> = {
  kind: 'write',
  flags: 3,
  epoch: 0xfffffffe,
  sequence: 2 ** 53 - 1,
  offset: 2 ** 52 + 4096,
  length: 2 ** 32 - 512,
  hash: 0xfedcba9876543210n,
  time: 1.7e15,
  place: 2 ** 53 - 64,
  before: 0xdeadbeef,
  volume: 7,
};

test('a record is 64 bytes and comes back as it was, up to the largest numbers', () => {
  const bytes = Buffer.alloc(3 * RECORD_BYTES, 0xff);
  const record = encodeRecord(FIELDS, bytes, RECORD_BYTES);
  expect(decodeRecord(bytes, RECORD_BYTES)).toEqual(record);
  expect(record).toMatchObject(FIELDS);
  for (const kind of ['zeroes', 'trim', 'flush', 'mode', 'epoch', 'resync'] satisfies Kind[]) {
    expect(decodeRecord(bytes.subarray(0, 0))).toBeUndefined();
    expect(encodeRecord({ ...FIELDS, kind }, bytes).kind).toBe(kind);
    expect(decodeRecord(bytes)?.kind).toBe(kind);
  }
});

test('no bit of a record can change unseen', () => {
  const bytes = Buffer.alloc(RECORD_BYTES);
  encodeRecord(FIELDS, bytes);
  for (let bit = 0; bit < RECORD_BYTES * 8; bit += 1) {
    const bent = Buffer.from(bytes);
    bent[bit >> 3] = (bent[bit >> 3] as number) ^ (1 << (bit & 7));
    expect(decodeRecord(bent), `bit ${bit}`).toBeUndefined();
  }
  expect(decodeRecord(Buffer.alloc(RECORD_BYTES))).toBeUndefined();
  expect(decodeRecord(bytes.subarray(0, 63))).toBeUndefined();
});

test('a sequence that would wrap is refused, never wrapped', () => {
  const bytes = Buffer.alloc(RECORD_BYTES);
  for (const sequence of [2 ** 53, 0, -1, 1.5]) {
    expect(() => encodeRecord({ ...FIELDS, sequence }, bytes)).toThrow(expect.objectContaining({ code: 'GW9001' }));
  }
  for (const place of [2 ** 53, -64]) {
    expect(() => encodeRecord({ ...FIELDS, place }, bytes)).toThrow(expect.objectContaining({ code: 'GW9001' }));
  }
});
