import { closeSync } from 'node:fs';
import { GodwitError } from '../../../kernel/errors.ts';
import { type BytePath, fromText, toText } from '../libc/bytes.ts';
import { errnoOf } from '../libc/native.ts';
import { openNamedDirectory } from '../libc/open.ts';

/** Control information: a directory of the source and the one of the target that stands for it, below the target's root. */
export interface Mapping {
  readonly source: string;
  readonly target: string;
}

export interface SourceRoot {
  readonly path: BytePath;
  readonly fd: number;
}

export function openRoots(mappings: readonly Mapping[]): SourceRoot[] {
  const roots: SourceRoot[] = [];
  try {
    for (const { source } of mappings) {
      const path = fromText(source);
      roots.push({ path, fd: openNamedDirectory(path) });
    }
    return roots;
  } catch (error) {
    closeRoots(roots);
    const source = mappings[roots.length]?.source ?? '';
    throw new GodwitError('GW2402', `${toText(fromText(source))} cannot be read: ${errnoOf(error) ?? String(error)}`, {
      cause: error,
      details: { source },
    });
  }
}

export function closeRoots(roots: readonly SourceRoot[]): void {
  for (const { fd } of roots) closeSync(fd);
}
