/**
 * What a rename took elsewhere: large files need not be sent again under their new
 * name when the target can take them there from the old one. Small ones are sent.
 */
import type { Changes } from '../capture/changes.ts';
import type { BytePath } from '../libc/bytes.ts';
import { sizeIn } from '../libc/stat.ts';
import { SMALL_FILE } from '../wire/operation.ts';
import { type CatalogRecord, walkKey } from './catalog-record.ts';

/** More files than these are sent. */
const MOST = 200_000;

export interface Place {
  readonly mapping: number;
  readonly path: BytePath;
}

export interface Moved {
  /** Names, as keys of the walk, that were renamed: what the target has there is removed a round later. */
  readonly leaving: ReadonlySet<string>;
  /** Large files at and below them, by identity: where the target has them. */
  readonly files: ReadonlyMap<string, Place>;
}

/** Goes through the catalog once, when something was renamed for which it pays. */
export function findMoved(records: Iterable<CatalogRecord>, { moved, everything }: Changes): Moved | undefined {
  if (moved.size === 0 || everything !== undefined) return undefined;
  const leaving = new Set<string>();
  const files = new Map<string, Place>();
  const above: { readonly path: BytePath; readonly identity: string; readonly isLeaving: boolean }[] = [];
  let last = -1;
  for (const { kind, mapping, path, signature } of records) {
    if (kind !== 'entry') continue;
    if (mapping !== last) above.length = 0;
    last = mapping;
    while (above.length > 0 && !isBelow(above.at(-1)?.path ?? '', path)) above.pop();
    const parent = above.at(-1);
    const isRenamed = parent !== undefined && moved.get(parent.identity)?.has(path.slice(path.lastIndexOf('/') + 1));
    const isLeaving = isRenamed === true || parent?.isLeaving === true;
    if (isRenamed === true) leaving.add(walkKey(mapping, path));
    const identity = signature.slice(0, 16);
    if (isLeaving && files.size < MOST && sizeIn(signature) > SMALL_FILE) files.set(identity, { mapping, path });
    above.push({ path, identity, isLeaving });
  }
  return { leaving, files };
}

function isBelow(directory: BytePath, path: BytePath): boolean {
  return directory === '' ? path !== '' : path.startsWith(`${directory}/`);
}
