import { expect, test } from 'vitest';
import { generateRow, integer, rowText, seededRandom, text } from './index.ts';

const columns = { id: integer(), name: text().nullable() };

test('a seed gives the same rows again, another seed others; null comes only where it may', () => {
  const rows = (seed: number) => {
    const random = seededRandom(seed);
    return Array.from({ length: 100 }, () => generateRow(columns, random));
  };
  const texts = (seed: number) => rows(seed).map((row) => rowText(columns, row));
  expect(texts(7)).toEqual(texts(7));
  expect(texts(7)).not.toEqual(texts(8));
  expect(rows(7).some((row) => row['name'] === null)).toBe(true);
  expect(rows(7).some((row) => row['id'] === null)).toBe(false);
});

test('text of a row tells values and types apart', () => {
  const texts = [null, 'null', '', 0, -0, 0n, false, new Uint8Array()].map((name) => rowText(columns, { name }));
  expect(new Set(texts).size).toBe(texts.length);
});
