import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { collectionOf, fileNameOf, isCutName } from './names.ts';

describe('names of files', () => {
  // As the real mongodump 100.18 wrote them.
  test.each([
    ['orders', 'orders'],
    ['ä b/c%+:x', '%C3%A4+b%2Fc%25%2B%3Ax'],
    ['system.buckets.ts', 'system.buckets.ts'],
    ['a-b_c.d~e', 'a-b_c.d~e'],
    ["!*'()", '%21%2A%27%28%29'],
  ])('%j is %s', (collection, file) => {
    expect(fileNameOf(collection)).toBe(file);
    expect(collectionOf(file)).toBe(collection);
  });

  test('a name too long for a file is cut, and its hash put behind it', () => {
    const cut = fileNameOf('L/'.repeat(120));
    expect(cut).toBe(`${'L%2F'.repeat(52)}%24NnKVNjRaDjEujWueFHIAIvnK7zk`);
    expect(cut.length).toBe(238);
    expect(isCutName(cut)).toBe(true);
    expect(isCutName(fileNameOf('x'.repeat(238)))).toBe(false);
  });

  test('every other name leads back to its collection', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', minLength: 1, maxLength: 40 }), (name) => {
        const file = fileNameOf(name);
        if (!isCutName(file)) expect(collectionOf(file)).toBe(name);
        expect(/^[A-Za-z0-9\-_.~+%]+$/.test(file)).toBe(true);
      }),
    );
  });

  test('what no tool wrote is no name', () => expect(collectionOf('%zz')).toBeUndefined());
});
