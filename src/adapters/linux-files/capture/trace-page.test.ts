import { expect, test } from 'vitest';
import { parseTraceFormat } from './trace-format.ts';
import { readTracePage } from './trace-page.ts';

const word = (value: number) => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value >>> 0);
  return bytes;
};

/** A page of the ring: time, how much of it is used, events. */
function page(events: readonly Buffer[], flags = 0): Buffer {
  const bytes = Buffer.alloc(4096, 0xee);
  const data = Buffer.concat(events);
  bytes.fill(0, 0, 16);
  bytes.writeUInt32LE((data.length | flags) >>> 0, 8);
  data.copy(bytes, 16);
  return bytes;
}

const short = (payload: string) => Buffer.concat([word((payload.length / 4) | (77 << 5)), Buffer.from(payload)]);
const long = (payload: string) => Buffer.concat([word(77 << 5), word(payload.length + 4), Buffer.from(payload)]);

function read(bytes: Buffer): { readonly payloads: string[]; readonly lost: boolean } {
  const payloads: string[] = [];
  const { lost } = readTracePage(bytes, (at, length) => payloads.push(bytes.toString('latin1', at, at + length)));
  return { payloads, lost };
}

test('payloads of short and long events, with times and padding between them', () => {
  const events = [
    short('abcd'),
    Buffer.concat([word(30 | (5 << 5)), word(9)]),
    long('x'.repeat(120)),
    Buffer.concat([word(31), word(1)]),
    Buffer.concat([word(29 | (1 << 5)), word(8), word(0)]),
    short('12345678'),
    word(29),
  ];
  expect(read(page(events))).toEqual({ payloads: ['abcd', 'x'.repeat(120), '12345678'], lost: false });
  expect(read(page([]))).toEqual({ payloads: [], lost: false });
});

test('a page that says it comes after lost ones says so, with and without their number', () => {
  expect(read(page([short('abcd')], 0x8000_0000))).toEqual({ payloads: ['abcd'], lost: true });
  expect(read(page([short('abcd')], 0xc000_0000))).toEqual({ payloads: ['abcd'], lost: true });
});

test('a page that makes no sense counts as lost', () => {
  expect(read(Buffer.alloc(7))).toEqual({ payloads: [], lost: true });
  expect(read(page([Buffer.concat([word(0), word(2)])]))).toEqual({ payloads: [], lost: true });
  expect(read(page([word(28)]))).toEqual({ payloads: [], lost: true });
});

test('where the fields are, is read from the kernel’s own description', () => {
  const text = `name: writeback_dirty_folio
ID: 1009
format:
\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;

\tfield:char name[32];\toffset:8;\tsize:32;\tsigned:0;
\tfield:ino_t ino;\toffset:40;\tsize:8;\tsigned:0;
`;
  const format = parseTraceFormat(text);
  expect(format?.id).toBe(1009);
  expect([...(format?.offsets ?? [])]).toEqual([
    ['common_type', 0],
    ['name', 8],
    ['ino', 40],
  ]);
  // An inode's number of four bytes is none that could be compared.
  expect(parseTraceFormat(text.replace('offset:40;\tsize:8', 'offset:40;\tsize:4'))?.offsets.has('ino')).toBe(false);
  expect(parseTraceFormat('')).toBeUndefined();
});
