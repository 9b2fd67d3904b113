/** Documents that only bytes can say: what no driver writes any more and servers still hold. */
import { serialize } from 'bson';
import type { Rng } from './rng.ts';

const MAKERS: readonly ((rng: Rng) => Buffer)[] = [
  () => element(0x06, 'undef', Buffer.alloc(0)),
  (rng) => element(0x0c, 'pointer', Buffer.concat([string('db.coll'), twelve(rng)])),
  () => Buffer.concat([element(0x02, 'twice', string('one')), element(0x02, 'twice', string('two'))]),
  () => element(0x02, 'broken', Buffer.concat([int32(4), Buffer.from([0xff, 0xfe, 0xc0, 0x00])])),
  () => element(0x0e, 'symbol', string('sym')),
  () => element(0x0f, 'scoped', scopedCode()),
  // A NaN with a payload and a quiet bit of its own: the same value, other bytes.
  () => element(0x01, 'nan', Buffer.from([1, 0, 0, 0, 0, 0, 0xf8, 0xff])),
  () => element(0x08, 'bool', Buffer.from([1])),
  // Decimal128 zero with a large exponent: equal to 0, spelt differently.
  () => element(0x13, 'decimal', Buffer.from([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x50, 0x30])),
  () => element(0x10, '$v', int32(2)),
  () => Buffer.concat([element(0x10, '', int32(1)), element(0x10, '.', int32(2)), element(0x10, '$', int32(3))]),
  // A binary of the old subtype 2, which repeats its length inside.
  () => element(0x05, 'old', Buffer.concat([int32(6), Buffer.from([2]), int32(2), Buffer.from([7, 8])])),
  () =>
    element(0x04, 'misnumbered', document(Buffer.concat([element(0x10, '5', int32(1)), element(0x10, 'x', int32(2))]))),
];

/** How many kinds of oddity there are. */
export const RAW_KINDS = MAKERS.length;

/** A document of the given `_id` with one to three oddities. */
export function rawDocument(rng: Rng, id: unknown): Buffer {
  const withId = Buffer.from(serialize({ _id: id }));
  const parts: Buffer[] = [withId.subarray(4, withId.length - 1)];
  for (let i = rng.between(1, 3); i > 0; i -= 1) parts.push(rng.pick(MAKERS)(rng));
  return document(Buffer.concat(parts));
}

function document(elements: Buffer): Buffer {
  return Buffer.concat([int32(elements.length + 5), elements, Buffer.from([0])]);
}

function element(type: number, name: string, value: Buffer): Buffer {
  return Buffer.concat([Buffer.from([type]), Buffer.from(`${name}\0`), value]);
}

function int32(n: number): Buffer {
  const out = Buffer.alloc(4);
  out.writeInt32LE(n);
  return out;
}

function string(text: string): Buffer {
  const body = Buffer.from(`${text}\0`);
  return Buffer.concat([int32(body.length), body]);
}

function scopedCode(): Buffer {
  const code = string('return a');
  const scope = document(element(0x10, 'a', int32(1)));
  return Buffer.concat([int32(4 + code.length + scope.length), code, scope]);
}

function twelve(rng: Rng): Buffer {
  return Buffer.from(Array.from({ length: 12 }, () => rng.int(256)));
}
