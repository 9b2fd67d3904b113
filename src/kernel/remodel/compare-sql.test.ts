import { expect, test } from 'vitest';
import { COUNTS_SQL, compareSql, compareSqlHash, MISSING_SQL } from './compare-sql.ts';

test('nothing is said that engines disagree about', () => {
  for (const sql of [MISSING_SQL, COUNTS_SQL, compareSql(0), compareSql(12)]) {
    expect(sql).not.toMatch(/unnest|explode|hash|md5|cast|::|order by|array|collate|using|"|`/i);
  }
});

test('compares each column once, and only these', () => {
  const differs = /o\.c(\d+) IS DISTINCT FROM n\.c\1\b/g;
  const numbers = [...compareSql(11).matchAll(differs)].map((match) => Number(match[1]));
  const each = Array.from({ length: 11 }, (_, i) => i);
  expect(numbers).toEqual([...each, ...each]);
  expect(compareSql(0)).not.toMatch(/concat_ws|IS DISTINCT/);
});

test('the hash tells the texts apart', () => {
  expect(compareSqlHash(2)).toMatch(/^[0-9a-f]{64}$/);
  expect(compareSqlHash(2)).toBe(compareSqlHash(2));
  expect(compareSqlHash(2)).not.toBe(compareSqlHash(3));
});
