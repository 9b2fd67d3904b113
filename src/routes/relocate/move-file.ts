/** What the source remembers of a move beside its catalog: which it is, and how much there was. */
import { randomUUID } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Mapping } from '../../adapters/linux-files/index.ts';
import { GodwitError } from '../../kernel/errors.ts';
import { readDurable, writeDurably } from '../../state/index.ts';

interface MoveFile {
  readonly version: 1;
  readonly move: string;
  readonly mappings: readonly Mapping[];
  readonly total?: { readonly entries: number; readonly bytes: number };
  /** Whether a round over everything has ended: the catalog knows all that the target has. */
  readonly isCopied?: boolean;
}

/** The move of a state directory, which is begun when there is none. GW1003 when it is of other directories. */
export function openMove(stateDir: string, mappings: readonly Mapping[]): MoveFile {
  mkdirSync(stateDir, { recursive: true, mode: 0o700 });
  const path = join(stateDir, 'move.json');
  const known = readDurable<MoveFile>(path);
  if (known === undefined) {
    const made: MoveFile = { version: 1, move: randomUUID(), mappings };
    writeDurably(path, made);
    return made;
  }
  if (JSON.stringify(known.mappings) !== JSON.stringify(mappings)) {
    const had = known.mappings.map(({ source, target }) => `${source}=${target}`);
    throw new GodwitError('GW1003', `The move in ${stateDir} was begun with --map ${had.join(' --map ')}`, {
      details: { state: stateDir, mappings: had },
    });
  }
  return known;
}

/** How much there is, for the time left of a later round or run; and whether a round has come by all of it. */
export function rememberTotal(
  stateDir: string,
  move: MoveFile,
  found: { readonly total: { entries: number; bytes: number }; readonly isCopied: boolean },
): void {
  writeDurably(join(stateDir, 'move.json'), { ...move, ...found });
}
