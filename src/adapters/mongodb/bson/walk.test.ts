import { deserialize, serialize } from 'bson';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { arbDocument } from './arbitraries.test-support.ts';
import { BsonBuilder } from './builder.ts';
import { BSON_TYPE } from './types.ts';
import { cstringEnd, docLength, elementEnd, findElement, valueOffset, valueSize, walk } from './walk.ts';

const bson = (doc: object): Buffer => Buffer.from(serialize(doc, { checkKeys: false }));
const hex = (text: string): Buffer => Buffer.from(text.replace(/\s/g, ''), 'hex');

/** A document of elements given in raw bytes. */
function raw(...elements: Buffer[]): Buffer {
  const body = Buffer.concat(elements);
  const doc = Buffer.alloc(body.length + 5);
  doc.writeInt32LE(doc.length, 0);
  body.copy(doc, 4);
  return doc;
}

describe('walk', () => {
  test('finds the elements that the bson library wrote, to the byte', () => {
    fc.assert(
      fc.property(arbDocument, (doc) => {
        const bytes = bson(doc);
        const names: string[] = [];
        const rebuilt = new BsonBuilder(64).begin();
        let expectedStart = 4;
        walk(bytes, 0, (type, nameStart, nameEnd, valueStart, valueEnd) => {
          expect(nameStart).toBe(expectedStart + 1);
          expect(valueStart).toBe(nameEnd + 1);
          names.push(bytes.toString('utf8', nameStart, nameEnd));
          rebuilt.appendElement(type, bytes.subarray(nameStart, nameEnd), bytes, valueStart, valueEnd);
          expectedStart = valueEnd;
        });
        expect(expectedStart).toBe(bytes.length - 1);
        expect(names).toEqual(Object.keys(doc));
        expect(rebuilt.end().finish().equals(bytes)).toBe(true);
      }),
    );
  });

  test('findElement agrees with the walk, inside a larger buffer too', () => {
    fc.assert(
      fc.property(arbDocument, fc.nat(40), (doc, lead) => {
        const bytes = Buffer.concat([Buffer.alloc(lead, 0xee), bson(doc), Buffer.alloc(9, 0xee)]);
        for (const name of Object.keys(doc)) {
          const at = findElement(bytes, lead, name);
          expect(bytes.toString('utf8', at + 1, cstringEnd(bytes, at + 1))).toBe(name);
          const size = valueSize(bytes[at]!, bytes, valueOffset(bytes, at));
          expect(elementEnd(bytes, at)).toBe(valueOffset(bytes, at) + size);
        }
        expect(findElement(bytes, lead, 'no such name, surely')).toBe(-1);
      }),
    );
  });

  test('knows the deprecated types, which the library no longer writes', () => {
    const scope = bson({ x: 1 });
    const doc = raw(
      hex('06 75 00'),
      hex('0e 73 00 03000000 6162 00'),
      hex('0c 70 00 03000000 6162 00 000102030405060708090a0b'),
      hex('0d 63 00 02000000 66 00'),
      Buffer.concat([
        hex('0f 77 00'),
        hex(`${(4 + 6 + scope.length).toString(16).padStart(2, '0')}000000 02000000 66 00`),
        scope,
      ]),
      hex('05 62 00 06000000 02 02000000 aabb'),
      hex('0b 72 00 61 00 69 00'),
      hex('ff 6d 00'),
      hex('7f 4d 00'),
    );
    const seen: [number, number][] = [];
    walk(doc, 0, (type, _nameStart, _nameEnd, start, end) => {
      seen.push([type, end - start]);
    });
    expect(seen).toEqual([
      [0x06, 0],
      [0x0e, 7],
      [0x0c, 19],
      [0x0d, 6],
      [0x0f, 10 + scope.length],
      [0x05, 11],
      [0x0b, 4],
      [0xff, 0],
      [0x7f, 0],
    ]);
    expect(doc[findElement(doc, 0, 'M')]).toBe(BSON_TYPE.maxKey);
  });

  test('tells names apart by bytes: alike, empty, twice, not UTF-8, and NULs in values', () => {
    const composed = '\u00e9';
    const decomposed = 'e\u0301';
    const doc = raw(
      Buffer.concat([hex('10'), Buffer.from(decomposed), hex('00 01000000')]),
      Buffer.concat([hex('10'), Buffer.from(composed), hex('00 02000000')]),
      hex('10 00 03000000'),
      hex('10 61 00 04000000'),
      hex('10 61 00 05000000'),
      hex('10 ff 00 06000000'),
      hex('02 7a 00 06000000 00 10 71 00 00 00'),
      hex('10 71 00 07000000'),
    );
    const intAt = (name: string | Buffer): number => doc.readInt32LE(valueOffset(doc, findElement(doc, 0, name)));
    expect(intAt(decomposed)).toBe(1);
    expect(intAt(composed)).toBe(2);
    expect(intAt('')).toBe(3);
    expect(intAt('a')).toBe(4);
    expect(intAt(hex('ff'))).toBe(6);
    expect(intAt('q')).toBe(7);
    expect(findElement(doc, 0, '\u00ff')).toBe(-1);
    // A name with a NUL in it must not match across the end of another name.
    expect(findElement(doc, 0, Buffer.from('a\0\x04'))).toBe(-1);
  });

  test('a visitor can end the walk', () => {
    let seen = 0;
    expect(walk(bson({ a: 1, b: 2, c: 3 }), 0, () => ++seen === 2)).toBe(true);
    expect(seen).toBe(2);
    expect(walk(bson({}), 0, () => true)).toBe(false);
  });

  test('malformed bytes are an error, never a read beyond them', () => {
    const bad = [
      raw(hex('14 61 00 01')),
      raw(hex('02 61 00 ffffffff 00')),
      raw(hex('02 61 00 7f000000 00')),
      raw(hex('03 61 00 04000000')),
      raw(hex('10 61 61 61')),
      hex('ff000000 00'),
      hex('05000000'),
    ];
    for (const doc of bad) {
      expect(() => walk(doc, 0, () => {})).toThrow(expect.objectContaining({ code: 'GW9001' }));
      expect(() => findElement(doc, 0, 'zz')).toThrow(expect.objectContaining({ code: 'GW9001' }));
    }
  });

  test('arbitrary bytes end in an answer or in GW9001', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), (tail) => {
        const doc = raw(Buffer.from(tail));
        try {
          walk(doc, 0, () => {});
        } catch (error) {
          expect(error).toMatchObject({ code: 'GW9001' });
        }
      }),
    );
  });
});

describe('BsonBuilder', () => {
  test('writes what the library reads', () => {
    const builder = new BsonBuilder(64);
    const inner = bson({ _id: 'k' });
    const at = findElement(inner, 0, '_id');
    builder.begin().startDocument('q');
    builder.appendElement(inner[at]!, '_id', inner, valueOffset(inner, at), elementEnd(inner, at)).end();
    builder.appendDocument('u', inner).appendBool('upsert', true);
    builder
      .startArray('list')
      .appendInt32(0, -5)
      .appendInt64(1, 2n ** 53n - 1n)
      .appendDouble(2, 0.5)
      .end();
    builder
      .appendString('text', 'é\0\u{1f426}')
      .appendNull('nothing')
      .appendTimestamp('time', (7n << 32n) | 9n)
      .end();
    expect(deserialize(builder.finish())).toMatchObject({
      q: { _id: 'k' },
      u: { _id: 'k' },
      upsert: true,
      list: [-5, 2 ** 53 - 1, 0.5],
      text: 'é\0\u{1f426}',
      nothing: null,
      time: { high: 7, low: 9 },
    });
  });

  test('documents follow each other as a sequence, and reset keeps the memory', () => {
    const builder = new BsonBuilder(64);
    for (let round = 0; round < 3; round++) {
      builder.reset();
      for (let i = 0; i < 100; i++) builder.begin().appendInt32('i', i).end();
      builder.appendRaw(bson({ i: 100 }));
      const all = builder.finish();
      expect(builder.documents).toBe(101);
      let at = 0;
      for (let i = 0; i <= 100; i++) {
        expect(deserialize(all.subarray(at, at + docLength(all, at)))).toEqual({ i });
        at += docLength(all, at);
      }
      expect(at).toBe(builder.length);
    }
  });

  test('refuses what would not be BSON', () => {
    const builder = new BsonBuilder();
    const bug = expect.objectContaining({ code: 'GW9001' });
    expect(() => builder.appendInt32('a', 1)).toThrow(bug);
    builder.begin();
    expect(() => builder.begin()).toThrow(bug);
    expect(() => builder.finish()).toThrow(bug);
    expect(() => builder.appendInt32('a\0b', 1)).toThrow(bug);
    expect(() => builder.reset().begin().appendInt32('é\0b', 1)).toThrow(bug);
    expect(() => builder.reset().end()).toThrow(bug);
  });
});
