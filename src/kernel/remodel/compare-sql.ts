import { createHash } from 'node:crypto';

/**
 * The offline comparison as SQL, one text for every engine. An engine makes
 * four views and nothing else differs: `old_rows` and `new_rows` (`k`, `c0`,
 * `c1` …), `pending` and `tombstone` (`k`).
 *
 * What engines disagree about is not used: hash functions, text of times and
 * floats, arrays, and order. The rows come in any order; who writes them down
 * sorts them by the bytes of the key. Values are compared as they are: NULL
 * differs from '', nothing is trimmed, folded or converted.
 */

/** Column `k`: identities of the old model that the new one lacks. */
export const MISSING_SQL = `SELECT o.k AS k
FROM old_rows o
WHERE NOT EXISTS (SELECT 1 FROM new_rows n WHERE n.k = o.k)
  AND NOT EXISTS (SELECT 1 FROM pending p WHERE p.k = o.k)
  AND NOT EXISTS (SELECT 1 FROM tombstone t WHERE t.k = o.k)
`;

/** One row: `old_rows`, `new_rows`, `pending` (identities). */
export const COUNTS_SQL = `SELECT
  (SELECT count(*) FROM old_rows) AS old_rows,
  (SELECT count(*) FROM new_rows) AS new_rows,
  (SELECT count(DISTINCT k) FROM pending) AS pending
`;

/**
 * Columns `k`, `kind`, `cols`: every identity that the two models do not have
 * alike. `cols` are the numbers of the columns that differ, `0,3`, or empty.
 * `kind` is one of {@link FoundKind}.
 */
export function compareSql(columns: number): string {
  const numbers = Array.from({ length: columns }, (_, i) => i);
  const differs = (i: number) => `o.c${i} IS DISTINCT FROM n.c${i}`;
  const names = numbers.map((i) => `CASE WHEN ${differs(i)} THEN '${i}' END`);
  const list = columns === 0 ? "''" : `concat_ws(',',\n      ${names.join(',\n      ')})`;
  return `SELECT d.k AS k,
  CASE WHEN p.k IS NOT NULL THEN concat('pending-', d.side)
    WHEN d.side = 'new' THEN 'extra'
    WHEN d.side = 'both' THEN 'different'
    WHEN t.k IS NOT NULL THEN 'resurrected'
    ELSE 'missing' END AS kind,
  d.cols AS cols
FROM (
  SELECT coalesce(o.k, n.k) AS k,
    CASE WHEN n.k IS NULL THEN 'old' WHEN o.k IS NULL THEN 'new' ELSE 'both' END AS side,
    CASE WHEN n.k IS NULL OR o.k IS NULL THEN '' ELSE ${list} END AS cols
  FROM old_rows o FULL OUTER JOIN new_rows n ON o.k = n.k
  WHERE ${['n.k IS NULL', 'o.k IS NULL', ...numbers.map(differs)].join('\n    OR ')}
) d
LEFT JOIN (SELECT DISTINCT k FROM pending) p ON p.k = d.k
LEFT JOIN (SELECT DISTINCT k FROM tombstone) t ON t.k = d.k
`;
}

/** What `kind` of {@link compareSql} can be: a class of differences, or where an identity that is pending was found. */
export type FoundKind =
  | 'missing'
  | 'extra'
  | 'resurrected'
  | 'different'
  | 'pending-old'
  | 'pending-new'
  | 'pending-both';

/** SHA-256 of the texts that a comparison of so many columns runs, hexadecimal. */
export function compareSqlHash(columns: number): string {
  return createHash('sha256')
    .update([MISSING_SQL, COUNTS_SQL, compareSql(columns)].join('\0'))
    .digest('hex');
}
