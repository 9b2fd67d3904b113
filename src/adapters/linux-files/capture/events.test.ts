import { expect, test } from 'vitest';
import { MASK, parseEvents } from './events.ts';

const FSID = Buffer.from('0102030405060708', 'hex');

/** A record of information: type, file system, handle, name. */
function info(type: number, handle: string, name?: string): Buffer {
  const bytes = Buffer.from(handle, 'latin1');
  const head = Buffer.alloc(8);
  head.writeUInt32LE(bytes.length, 0);
  head.writeInt32LE(1, 4);
  const body = [FSID, head, bytes, ...(name === undefined ? [] : [Buffer.from(`${name}\0`, 'latin1')])];
  const length = 4 + body.reduce((sum, { length: of }) => sum + of, 0);
  // The kernel rounds up to four bytes.
  const record = Buffer.alloc(Math.ceil(length / 4) * 4);
  record[0] = type;
  record.writeUInt16LE(record.length, 2);
  Buffer.concat(body).copy(record, 4);
  return record;
}

function event(mask: number, ...records: readonly Buffer[]): Buffer {
  const head = Buffer.alloc(24);
  head.writeUInt32LE(24 + records.reduce((sum, { length }) => sum + length, 0), 0);
  head[4] = 3;
  head.writeUInt16LE(24, 6);
  head.writeUInt32LE(mask, 8);
  head.writeInt32LE(-1, 16);
  head.writeInt32LE(4711, 20);
  return Buffer.concat([head, ...records]);
}

/** As events name it: length, type, bytes. */
const handle = (bytes: string) => `${String.fromCharCode(bytes.length)}\0\0\0\x01\0\0\0${bytes}`;

test('names, the inode and their handles come out of several events of one read', () => {
  const read = Buffer.concat([
    event(MASK.CREATE, info(2, 'directory', 'na\xffme'), info(1, 'inode')),
    event(MASK.MODIFY, info(2, 'directory', 'file'), info(1, 'inode2')),
  ]);
  expect(parseEvents(read)).toEqual([
    { mask: MASK.CREATE, names: [{ directory: handle('directory'), name: 'na\xffme' }], inode: handle('inode') },
    { mask: MASK.MODIFY, names: [{ directory: handle('directory'), name: 'file' }], inode: handle('inode2') },
  ]);
});

test('a rename names both places', () => {
  const read = event(MASK.RENAME, info(10, 'old', 'a'), info(12, 'new', 'b'), info(1, 'moved'));
  expect(parseEvents(read)).toEqual([
    {
      mask: MASK.RENAME,
      names: [
        { directory: handle('old'), name: 'a' },
        { directory: handle('new'), name: 'b' },
      ],
      inode: handle('moved'),
    },
  ]);
});

test('what happens to a directory itself has no name', () => {
  const read = event(MASK.ATTRIB | MASK.ONDIR, info(2, 'directory', '.'));
  expect(parseEvents(read)).toEqual([{ mask: MASK.ATTRIB | MASK.ONDIR, names: [], inode: handle('directory') }]);
});

test('an overflow has nothing but its mask', () => {
  expect(parseEvents(event(MASK.OVERFLOW))).toEqual([{ mask: MASK.OVERFLOW, names: [] }]);
});

test('bytes that end early or make no sense count as lost, and what came before them is kept', () => {
  const whole = event(MASK.DELETE, info(2, 'directory', 'name'), info(1, 'inode'));
  for (let length = 1; length < whole.length; length += 1) {
    const [first, last, ...more] = parseEvents(Buffer.concat([whole, whole.subarray(0, length)]));
    expect(first?.mask).toBe(MASK.DELETE);
    expect(last?.mask).toBe(MASK.OVERFLOW);
    expect(more).toEqual([]);
  }
  const longHandle = event(MASK.DELETE, info(2, 'directory', 'name'));
  longHandle.writeUInt32LE(0xffff, 24 + 12);
  expect(parseEvents(longHandle)).toEqual([{ mask: MASK.OVERFLOW, names: [] }]);
});
