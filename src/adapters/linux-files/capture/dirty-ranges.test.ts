import { expect, test } from 'vitest';
import { EXT4, XFS } from '../libc/file-system.ts';
import { Changes } from './changes.ts';
import { dirtyRanges } from './dirty-ranges.ts';
import { exactFileSystems, TOLD } from './trace-events.ts';
import type { TraceFormat } from './trace-format.ts';

const page = 4096;
const pages = (numbers: readonly number[], size = 1 << 30) =>
  dirtyRanges(new Set(numbers), size, page).map(({ start, end }) => [start / page, end / page]);

test('a page stands for the largest folio that can begin with it', () => {
  expect(pages([7])).toEqual([[7, 8]]);
  expect(pages([12])).toEqual([[12, 16]]);
  expect(pages([1024])).toEqual([[1024, 1536]]);
  expect(pages([0])).toEqual([[0, 512]]);
});

test('ranges are in order, apart, and end where the file does', () => {
  expect(pages([9, 8, 7, 21, 20])).toEqual([
    [7, 16],
    [20, 24],
  ]);
  // What is in one that came before adds nothing.
  expect(pages([64, 65, 127])).toEqual([[64, 128]]);
  expect(pages([64, 500], 65 * page + 10)).toEqual([[64, 65 + 10 / page]]);
});

test('which pages of a file changed is known only where every change of it is told', () => {
  const identity = 'device--inode---';
  const inode = 'inode---';
  const begin = () => {
    const changes = new Changes();
    changes.exact = new Set([EXT4]);
    return changes;
  };
  const changes = begin();
  expect(changes.pagesOf(identity, EXT4)).toEqual(new Set());
  changes.addPage(inode, 5);
  expect(changes.pagesOf(identity, EXT4)).toEqual(new Set([5]));
  expect(changes.pagesOf(identity, XFS)).toBeUndefined();
  changes.whole.add(identity);
  expect(changes.pagesOf(identity, EXT4)).toBeUndefined();
  // Written to, and no page became dirty: by means that nobody told.
  const written = begin();
  written.written.add(identity);
  expect(written.pagesOf(identity, EXT4)).toBeUndefined();
  written.addPage(inode, 5);
  expect(written.pagesOf(identity, EXT4)).toEqual(new Set([5]));
  for (let index = 0; index < 70_000; index += 1) written.addPage(inode, index);
  expect(written.pagesOf(identity, EXT4)).toBeUndefined();
  const lost = begin();
  lost.everything = 'the trace of dirty pages lost some';
  expect(lost.pagesOf(identity, EXT4)).toBeUndefined();
});

test('what did not come to the target stays in what is put back', () => {
  const later = new Changes();
  later.addAll('device--inode---');
  const next = new Changes();
  next.exact = new Set([EXT4]);
  next.addPage('inode---', 1);
  next.add(later);
  expect(next.pagesOf('device--inode---', EXT4)).toBeUndefined();
});

test('a kernel without one of the events of a file system tells nothing exactly there', () => {
  const fields = new Map(['ino', 'dev', 'index', 'pos', 'ret'].map((name, at) => [name, at * 8]));
  const all = new Map<string, TraceFormat>(TOLD.map(([event], id) => [event, { id, offsets: fields }]));
  const without = (...events: readonly string[]) =>
    [...exactFileSystems(new Map([...all].filter(([event]) => !events.includes(event))))].sort();
  expect(without()).toEqual([EXT4, XFS].sort());
  expect(without('xfs/xfs_exchrange_prep')).toEqual([EXT4, XFS].sort());
  expect(without('xfs/xfs_swap_extent_before', 'xfs/xfs_exchrange_prep')).toEqual([EXT4]);
  expect(without('xfs/xfs_reflink_remap_range')).toEqual([EXT4]);
  expect(without('ext4/ext4_punch_hole')).toEqual([XFS]);
  expect(without('iomap/iomap_dio_complete')).toEqual([]);
  expect(without('writeback/writeback_dirty_folio', 'writeback/writeback_dirty_page')).toEqual([]);
});
