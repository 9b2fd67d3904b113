import { describe, expect, test } from 'vitest';
import { DifferenceLines, MissingLines } from './compare-lines.ts';
import { compareSqlHash } from './compare-sql.ts';

const bug = expect.objectContaining({ code: 'GW9001' });

describe('missing', () => {
  test('lines are JSON, and counted', () => {
    const lines = new MissingLines();
    expect(['', 'a"b\n', '\ufeffé', '😀'].map((k) => lines.line(k)).join('')).toBe('""\n"a\\"b\\n"\n"\ufeffé"\n"😀"\n');
    expect(lines.count).toBe(4);
  });

  test.each([
    ['twice', ['a', 'a']],
    ['out of order', ['b', 'a']],
    ['in the order of UTF-16 and not of bytes', ['😀', '～']],
    ['without a key', [null]],
    ['with a key left out', [undefined]],
  ])('refuses a row that is there %s', (_, keys) => {
    const lines = new MissingLines();
    expect(() => keys.map((k) => lines.line(k))).toThrow(bug);
  });
});

describe('differences', () => {
  const rows = [
    { k: 'a', kind: 'missing', cols: '' },
    { k: 'b', kind: 'extra', cols: '' },
    { k: 'c', kind: 'resurrected', cols: '' },
    { k: 'd', kind: 'different', cols: '0,2' },
    { k: 'e', kind: 'pending-old', cols: '' },
    { k: 'f', kind: 'pending-new', cols: '' },
    { k: 'g', kind: 'pending-both', cols: '1' },
  ];
  const filled = () => {
    const lines = new DifferenceLines(['x', 'y', 'z']);
    return { lines, text: rows.map((row) => lines.line(row) ?? '').join('') };
  };

  test('have names of columns; what is pending is left out', () => {
    expect(filled().text).toBe(
      '{"k":"a","kind":"missing","columns":[]}\n' +
        '{"k":"b","kind":"extra","columns":[]}\n' +
        '{"k":"c","kind":"resurrected","columns":[]}\n' +
        '{"k":"d","kind":"different","columns":["x","z"]}\n',
    );
  });

  test('are counted by kind', () => {
    // Matched: 10 - (a, c, e) = 7 old rows, 9 - (b, f) = 7 new ones.
    expect(filled().lines.summary({ oldRows: 10, newRows: 9, pending: 3 })).toEqual({
      oldRows: 10,
      newRows: 9,
      pending: 3,
      missing: 1,
      extra: 1,
      resurrected: 1,
      different: 1,
      sql: compareSqlHash(3),
    });
  });

  test('do not add up when a key of equal rows is there twice on one side', () => {
    expect(() => filled().lines.summary({ oldRows: 10, newRows: 10, pending: 3 })).toThrow(bug);
    expect(() => filled().lines.summary({ oldRows: 11, newRows: 9, pending: 3 })).toThrow(bug);
  });

  test.each([
    { k: 'a', kind: 'other', cols: '' },
    { k: 'a', kind: 'different', cols: null },
    { k: 'a', kind: 'different', cols: '3' },
    { k: 'a', kind: 'different', cols: 'x' },
    { k: null, kind: 'missing', cols: '' },
  ])('are refused when the SQL cannot have given them: %j', (row) => {
    expect(() => new DifferenceLines(['x', 'y', 'z']).line(row)).toThrow(bug);
  });
});
