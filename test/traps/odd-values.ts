/** Documents of odd values, by the byte: each maker gives fresh documents under the ids from a number on. */
import { Timestamp } from 'bson';
import { insertRaw } from '../tools/raw-insert.ts';
import { decimal, doc, double, element, int32, int64, le32, string, text } from './raw.ts';

/** A document of exactly 16 MiB. */
export function largest(id: string): Buffer {
  const head = Buffer.concat([string('_id', id), Buffer.from([0x02]), Buffer.from('pad\0')]);
  const room = 16 * 1024 * 1024 - 4 - head.length - 4 - 1 - 1;
  return doc(
    string('_id', id),
    element(0x02, 'pad', Buffer.concat([le32(room + 1), Buffer.alloc(room, 0x61), Buffer.from([0])])),
  );
}

export function oddNumbers(from: number): Buffer[] {
  const values = [
    double('n', -0),
    double('n', Buffer.from([1, 0, 0, 0, 0, 0, 0xf8, 0xff])),
    double('n', Buffer.from([1, 0, 0, 0, 0, 0, 0xf0, 0x7f])),
    int64('n', 1n),
    int32('n', 1),
    double('n', 1),
    decimal('n', 1n, 0x3040000000000000n),
    decimal('n', 10n, 0x303e000000000000n),
    decimal('n', 0n, 0xb040000000000000n),
    decimal('n', 0n, 0x7c00000000000000n),
    decimal('n', 5n, 0x7e00000000000000n),
    decimal('n', 0n, 0x5030000000000000n),
    int64('n', 9007199254740993n),
  ];
  return values.map((value, i) => doc(int32('_id', from + i), value, element(0x04, 'arr', doc(rename(value, '0')))));
}

/** The same value under another one-letter name. */
function rename(value: Buffer, name: string): Buffer {
  const out = Buffer.from(value);
  out.write(name, 1, 'latin1');
  return out;
}

export function oddTypes(from: number): Buffer[] {
  const code = text('return a');
  const scope = doc(int32('a', 1));
  const values = [
    string('odd', 'sym', 0x0e),
    element(0x06, 'odd'),
    element(0x0c, 'odd', Buffer.concat([text('db.coll'), Buffer.alloc(12, 7)])),
    element(0x0f, 'odd', Buffer.concat([le32(4 + code.length + scope.length), code, scope])),
    element(0x0d, 'odd', code),
    element(0xff, 'odd'),
    element(0x7f, 'odd'),
    string('odd', Buffer.from([0xff, 0xfe, 0xc0, 0x80])),
    element(0x0b, 'odd', Buffer.from('a.*b\0imsx\0')),
    element(0x05, 'odd', Buffer.concat([le32(6), Buffer.from([2]), le32(2), Buffer.from([7, 8])])),
    element(0x05, 'odd', Buffer.concat([le32(3), Buffer.from([0x80]), Buffer.from([1, 2, 3])])),
    element(0x04, 'odd', doc(int32('7', 1), int32('x', 2))),
    element(0x09, 'odd', Buffer.alloc(8, 0xff)),
  ];
  return values.map((value, i) => doc(int32('_id', from + i), value, int32('after', 1)));
}

/** A stored zero timestamp: the server replaces it on insert, and keeps it in an update by pipeline. */
export async function zeroTime(source: Parameters<typeof insertRaw>[0], name: string, id: number): Promise<void> {
  await insertRaw(source, `${name}.c`, [
    doc(int32('_id', id), element(0x03, 'sub', doc(element(0x11, 'ts', Buffer.alloc(8)))), int32('n', 1)),
  ]);
  const zero = new Timestamp({ t: 0, i: 0 });
  await source
    .db(name)
    .collection('c')
    .updateOne({ _id: id } as never, [{ $set: { ts: zero, n: 2 } }]);
}
