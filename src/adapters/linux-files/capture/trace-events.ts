/**
 * Which events are traced, and what each of them tells. Pages that became dirty
 * name what was written through the page cache, direct writes their range; what
 * changes a content in other ways is told of a file as a whole.
 */
import { EXT4, XFS } from '../libc/file-system.ts';
import type { TraceFormat } from './trace-format.ts';

/** What an event tells. */
export type Tells =
  /** A page, or the first of a folio, became dirty. */
  | 'page'
  /** Something of an inode. */
  | 'inode'
  /** A direct write, or read, has ended. */
  | 'direct'
  /** A content changed, or will in a moment, where no page tells it. */
  | 'whole';

export const TOLD: readonly (readonly [event: string, tells: Tells])[] = [
  ['writeback/writeback_dirty_folio', 'page'],
  // Its name on older kernels.
  ['writeback/writeback_dirty_page', 'page'],
  ['writeback/writeback_mark_inode_dirty', 'inode'],
  ['iomap/iomap_dio_complete', 'direct'],
  ['ext4/ext4_truncate_enter', 'whole'],
  ['ext4/ext4_punch_hole', 'whole'],
  ['ext4/ext4_zero_range', 'whole'],
  ['ext4/ext4_collapse_range', 'whole'],
  ['ext4/ext4_insert_range', 'whole'],
  ['xfs/xfs_itruncate_extents_start', 'whole'],
  ['xfs/xfs_free_file_space', 'whole'],
  ['xfs/xfs_zero_file_space', 'whole'],
  ['xfs/xfs_collapse_file_space', 'whole'],
  ['xfs/xfs_insert_file_space', 'whole'],
  ['xfs/xfs_reflink_remap_range', 'whole'],
  ['xfs/xfs_swap_extent_before', 'whole'],
  // Of newer kernels, which have no swap.
  ['xfs/xfs_exchrange_prep', 'whole'],
];

/** Without one of these there is no trace. */
export const NEEDED = TOLD.filter(([, tells]) => tells === 'page').map(([event]) => event);

/**
 * File systems of which every change of content is told, page by page or of the file as a whole. btrfs is none: a
 * reflink there makes no event.
 */
export function exactFileSystems(found: ReadonlyMap<string, TraceFormat>): ReadonlySet<number> {
  const hasPages = NEEDED.some((event) => found.get(event)?.offsets.has('index'));
  const direct = found.get('iomap/iomap_dio_complete')?.offsets;
  const hasDirect = direct !== undefined && ['dev', 'ino', 'pos', 'ret'].every((field) => direct.has(field));
  const hasAll = (prefix: string, ...optional: readonly string[]) =>
    TOLD.every(([event]) => !event.startsWith(prefix) || optional.includes(event) || isWhole(found.get(event)));
  const hasSwap = ['xfs/xfs_swap_extent_before', 'xfs/xfs_exchrange_prep'].some((event) => isWhole(found.get(event)));
  const exact = new Set<number>();
  if (hasPages && hasDirect && hasAll('ext4/')) exact.add(EXT4);
  if (hasPages && hasDirect && hasSwap && hasAll('xfs/', 'xfs/xfs_swap_extent_before', 'xfs/xfs_exchrange_prep'))
    exact.add(XFS);
  return exact;
}

function isWhole(format: TraceFormat | undefined): boolean {
  if (format === undefined) return false;
  return format.offsets.has('dev') && inodesOf(format).length > 0;
}

/** Where an event has the numbers of the inodes that it is about. */
export function inodesOf({ offsets }: TraceFormat): readonly number[] {
  return [...offsets].filter(([name]) => name === 'ino' || name.endsWith('_ino')).map(([, at]) => at);
}
