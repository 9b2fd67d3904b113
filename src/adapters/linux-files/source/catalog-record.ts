import type { BytePath } from '../libc/bytes.ts';

/** One step of a walk that the target has carried out. */
export interface CatalogRecord {
  /** A name; a directory that is complete with its times; a large file up to `reached`. */
  readonly kind: 'entry' | 'leave' | 'partial';
  readonly mapping: number;
  readonly path: BytePath;
  /** As it was when it was read (see Stat). */
  readonly signature: string;
  /** Whether an equal signature later proves that nothing was changed in between. */
  readonly settled: boolean;
  readonly reached: number;
}

/** Sorts after every byte. */
const AFTER = '\uffff';

/** Sorts as the walk goes: the directory, what is in it, its end. */
export function walkKey(mapping: number, path: BytePath, isLeave = false): string {
  const key = `${String.fromCharCode(0x100 + mapping)}${path === '' ? '' : `\0${path.replaceAll('/', '\0')}`}`;
  return isLeave ? `${key}\0${AFTER}` : key;
}

export function keyOf(record: CatalogRecord): string {
  return walkKey(record.mapping, record.path, record.kind === 'leave');
}
