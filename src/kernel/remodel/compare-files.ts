import { basename, dirname, join } from 'node:path';
import { GodwitError } from '../errors.ts';
import type { CompareInput } from './compare.ts';

/** The files of one part: rows of one identity lie in the same part of all four. */
export interface ComparePart {
  readonly old: string;
  readonly new: string;
  readonly pending: string;
  readonly tombstone: string;
}

/** Names of the entries of a directory. */
export type ListNames = (directory: string) => Promise<readonly string[]>;

/**
 * The parts of a snapshot. A part that one side has and the other has not, or
 * none at all, is an error (GW1009): a lost file must not pass for a table without rows.
 */
export async function comparePartsOf(input: CompareInput, list: ListNames): Promise<readonly ComparePart[]> {
  const old = await matchesOf(input.oldFiles, list);
  const others = {
    new: await matchesOf(input.newFiles, list),
    pending: await matchesOf(input.pendingFiles, list),
    tombstone: await matchesOf(input.tombstoneFiles, list),
  };
  for (const [name, files] of Object.entries(others)) {
    const lost = [...old.keys()].find((part) => !files.has(part)) ?? [...files.keys()].find((part) => !old.has(part));
    if (lost === undefined) continue;
    throw new GodwitError(
      'GW1009',
      `The snapshot is not complete: part ${lost} is not there of both, old and ${name}`,
      {
        details: { old: input.oldFiles, part: lost, other: name },
      },
    );
  }
  return [...old].map(([part, file]) => ({
    old: file,
    new: others.new.get(part) as string,
    pending: others.pending.get(part) as string,
    tombstone: others.tombstone.get(part) as string,
  }));
}

/** Files of a pattern whose last name may hold one `*`, sorted. None is an error (GW1009). */
export async function filesOf(pattern: string, list: ListNames): Promise<readonly string[]> {
  return [...(await matchesOf(pattern, list)).values()];
}

/** Files by what stands for the `*`; a pattern without one is one file, part `''`. */
async function matchesOf(pattern: string, list: ListNames): Promise<ReadonlyMap<string, string>> {
  const directory = dirname(pattern);
  const [before, after, ...more] = basename(pattern).split('*') as [string, string?, ...string[]];
  const names = await list(directory);
  const found = new Map<string, string>();
  for (const name of [...names].sort()) {
    if (after === undefined ? name === before : isBetween(name, before, after)) {
      found.set(name.slice(before.length, name.length - (after ?? '').length), join(directory, name));
    }
  }
  if (found.size === 0 || more.length > 0) {
    throw new GodwitError('GW1009', `The snapshot is not complete: there is no file ${pattern}`, {
      details: { pattern },
    });
  }
  return found;
}

function isBetween(name: string, before: string, after: string): boolean {
  return name.length >= before.length + after.length && name.startsWith(before) && name.endsWith(after);
}
