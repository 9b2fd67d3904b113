import { mkdir, readdir, rmdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { GodwitError } from '../../../kernel/errors.ts';
import { inFile } from './append-file.ts';
import {
  type Manifest,
  manifestPath,
  readIfThere,
  readManifest,
  removeIfThere,
  unfinishedPath,
  writeWhole,
} from './manifest.ts';

/** What an export that is under way, or was broken off, says of itself. */
interface Claim {
  readonly source: string;
  readonly include: readonly string[];
  readonly exclude: readonly string[];
  /** Where it stands, for the next attempt to go on; ours to keep and not to understand. */
  readonly progress?: unknown;
}

/** What is found at a place that was claimed. */
export type Found =
  | { readonly state: 'complete'; readonly manifest: Manifest }
  | { readonly state: 'begun'; readonly progress: unknown }
  | { readonly state: 'free' };

export interface PlaceOptions {
  readonly path: string;
  readonly container: Manifest['container'];
  /** Identity of the source. */
  readonly source: string;
  readonly include: readonly string[];
  readonly exclude: readonly string[];
}

/** A file name with this ending is an archive; everything else is a folder. */
export function containerFor(path: string): Manifest['container'] {
  return /\.archive(\.gz|\.zst)?$/.test(path) ? 'archive' : 'directory';
}

/** Where the log is kept while a medium is written. */
export function logPath(path: string, container: Manifest['container']): string {
  return container === 'directory' ? join(path, '.log') : `${path}.log.part`;
}

/** Held by the process that exports; gone with the medium's completion. */
export function placeLock(path: string, container: Manifest['container']): { lock: string; lockOwner: string } {
  const base = container === 'directory' ? join(path, '.lock') : `${path}.lock`;
  return { lock: `${base}.db`, lockOwner: `${base}.pid` };
}

/**
 * Takes a place for an export. What a broken-off export of the same source and
 * choice left there is for the caller to go on with, or to clear away; everything
 * else is left alone. Throws GW2105.
 */
export async function claimPlace(options: PlaceOptions): Promise<Found> {
  const { path, container } = options;
  const manifest = await readManifest(manifestPath(path, container));
  if (manifest) {
    if (manifest.source.id === options.source && sameChoice(manifest, options)) {
      // It may have been ended between its last two steps.
      await releasePlace(path, container);
      return { state: 'complete', manifest };
    }
    throw occupied(path, 'there is a medium of another source or choice');
  }
  const left = await readIfThere(unfinishedPath(path, container));
  if (left === undefined) {
    await assertFree(path, container);
    if (container === 'directory') await inFile(path, () => mkdir(path, { recursive: true, mode: 0o700 }));
    await markPlace(options, undefined);
    return { state: 'free' };
  }
  const claim = JSON.parse(left) as Claim;
  if (claim.source !== options.source || !sameChoice(claim, options))
    throw occupied(path, 'an export of another source or choice was begun there');
  return { state: 'begun', progress: claim.progress };
}

/** Says whose the place is, and how far the export is. */
export async function markPlace(options: PlaceOptions, progress: unknown): Promise<void> {
  const { path, container, source, include, exclude } = options;
  const claim: Claim = { source, include, exclude, progress };
  await writeWhole(unfinishedPath(path, container), `${JSON.stringify(claim)}\n`);
}

/** Takes everything away that a broken-off export left at a place that was claimed. */
export async function clearPlace(options: PlaceOptions): Promise<void> {
  const { path, container } = options;
  if (container === 'archive') {
    await removeIfThere(`${path}.part`);
    await removeIfThere(logPath(path, container));
    return;
  }
  // The folder was empty when it was claimed first, so all of it is the export's.
  const { lock, lockOwner } = placeLock(path, container);
  const kept = new Set([unfinishedPath(path, container), lock, lockOwner]);
  for (const name of await inFile(path, () => readdir(path))) {
    if (!kept.has(join(path, name))) await removeIfThere(join(path, name));
  }
}

/** Leaves a place as it was found: nothing was written there but the mark. */
export async function forsakePlace({ path, container }: PlaceOptions): Promise<void> {
  await releasePlace(path, container);
  // One that others have put something into stays.
  if (container === 'directory') await rmdir(path).catch(() => undefined);
}

/** The medium is complete. */
export async function releasePlace(path: string, container: Manifest['container']): Promise<void> {
  await removeIfThere(logPath(path, container));
  await removeIfThere(unfinishedPath(path, container));
  // Whoever waits for it finds the medium complete.
  const { lock, lockOwner } = placeLock(path, container);
  await removeIfThere(lock);
  await removeIfThere(lockOwner);
}

async function assertFree(path: string, container: Manifest['container']): Promise<void> {
  const facts = await stat(path).catch(() => undefined);
  if (facts === undefined) return;
  if (container === 'archive' || !facts.isDirectory()) throw occupied(path, 'there is a file already');
  if ((await inFile(path, () => readdir(path))).length > 0) throw occupied(path, 'the folder is not empty');
}

function sameChoice(a: Pick<Claim, 'include' | 'exclude'>, b: Pick<Claim, 'include' | 'exclude'>): boolean {
  const text = (one: Pick<Claim, 'include' | 'exclude'>) =>
    JSON.stringify([[...one.include].sort(), [...one.exclude].sort()]);
  return text(a) === text(b);
}

function occupied(path: string, why: string): GodwitError {
  return new GodwitError('GW2105', `The medium cannot be written to ${path}: ${why}`, { details: { medium: path } });
}
