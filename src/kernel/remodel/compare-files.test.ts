import { expect, test } from 'vitest';
import { comparePartsOf, filesOf } from './compare-files.ts';

const input = {
  oldFiles: '/s/old-*.parquet',
  newFiles: '/s/new-*.parquet',
  pendingFiles: '/s/pending-*.parquet',
  tombstoneFiles: '/s/tombstone-*.parquet',
  columns: [],
};
const names = ['old', 'new', 'pending', 'tombstone'].flatMap((name) => [`${name}-0.parquet`, `${name}-1.parquet`]);
const listing = (entries: readonly string[]) => async () => entries;

test('parts are put together over the four tables', async () => {
  const parts = await comparePartsOf(input, listing([...names, 'old-0.csv', 'gold-7.parquet', 'old.parquet']));
  expect(parts.map((part) => part.tombstone)).toEqual(['/s/tombstone-0.parquet', '/s/tombstone-1.parquet']);
  expect(parts[1]).toEqual({
    old: '/s/old-1.parquet',
    new: '/s/new-1.parquet',
    pending: '/s/pending-1.parquet',
    tombstone: '/s/tombstone-1.parquet',
  });
});

test.each(names)('without %s the snapshot is not complete', async (lost) => {
  const without = names.filter((name) => name !== lost);
  await expect(comparePartsOf(input, listing(without))).rejects.toMatchObject({ code: 'GW1009' });
});

test('a table without any file is an error', async () => {
  await expect(comparePartsOf(input, listing([]))).rejects.toMatchObject({ code: 'GW1009' });
  const without = names.filter((name) => !name.startsWith('pending'));
  await expect(comparePartsOf(input, listing(without))).rejects.toMatchObject({ code: 'GW1009' });
});

test('a pattern takes one star, in its last name only, and a name without one is itself', async () => {
  expect(await filesOf('/a*b/x', listing(['x', 'xx']))).toEqual(['/a*b/x']);
  expect(await filesOf('/s/a*a', listing(['a', 'aa', 'aba', 'ab']))).toEqual(['/s/aa', '/s/aba']);
  await expect(filesOf('/s/*-*', listing(['a-b']))).rejects.toMatchObject({ code: 'GW1009' });
});
