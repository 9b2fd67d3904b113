import { expect, test } from 'vitest';
import { seededRandom } from '../../../kernel/remodel/index.ts';
import { compareIntegers, compareText } from './snapshot-order.ts';
import { parseRows, RowCursor } from './snapshot-rows.ts';

test('text is ordered as its UTF-8 bytes are, numbers as numbers', () => {
  const texts = ['', 'A', 'a', 'ab', 'b', 'é', '日', '\uff21', '\ufffd', '💶', '💶a', '𝒳', ' ', '\t', '-', '10', '9'];
  for (const a of texts)
    for (const b of texts)
      expect(Math.sign(compareText(a, b)), `${a} ${b}`).toBe(Buffer.compare(Buffer.from(a), Buffer.from(b)));
  const numbers = [0n, 1n, -1n, 9n, 10n, -9n, -10n, 2n ** 63n - 1n, -(2n ** 63n)];
  for (const a of numbers)
    for (const b of numbers)
      expect(Math.sign(compareIntegers(String(a), String(b))), `${a} ${b}`).toBe(a < b ? -1 : a > b ? 1 : 0);
});

test('rows of a COPY: NULL, an empty text, and texts that look like either', () => {
  expect(parseRows('1\t\\N\t\n2\t\\\\N\tNULL\n3\ta\\tb\\nc\\\\d\t\\r\\b\\f\\v')).toEqual([
    ['1', null, ''],
    ['2', '\\N', 'NULL'],
    ['3', 'a\tb\nc\\d', '\r\b\f\v'],
  ]);
  expect(parseRows('')).toEqual([['']]);
});

test('a cursor steps through batches of any size', async () => {
  const random = seededRandom(3);
  const rows = Array.from({ length: 100 }, (_, i) => [String(i)]);
  async function* batches() {
    for (let at = 0; at < rows.length; ) {
      const size = Math.floor(random() * 4);
      yield rows.slice(at, at + size);
      at += size;
    }
  }
  const cursor = new RowCursor(batches());
  const seen: unknown[] = [];
  for (;;) {
    if (cursor.needsMore) await cursor.fill();
    if (cursor.row === undefined) break;
    seen.push(cursor.row);
    cursor.step();
  }
  expect(seen).toEqual(rows);
});
