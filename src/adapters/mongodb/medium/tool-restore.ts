import { GodwitError } from '../../../kernel/errors.ts';
import type { CollectionSpec } from '../catalog.ts';
import type { Cluster } from '../cluster.ts';
import type { Selection } from '../namespaces.ts';
import { sizeOf } from '../partition.ts';
import type { Medium } from './medium.ts';
import { runTool } from './tools.ts';

export interface ToolRestoreOptions {
  /** Address of the target. */
  readonly uri: string;
  /** Where the medium is. */
  readonly path: string;
  readonly medium: Medium;
  readonly target: Cluster;
  readonly selection: Selection;
  readonly lanes: number;
  readonly signal: AbortSignal;
}

/** Whether mongorestore can load a collection that is there already: it refuses that of time series. */
export function isForTool(spec: CollectionSpec): boolean {
  return spec.series === undefined;
}

/**
 * Has mongorestore load the documents into collections that are there already;
 * their options and indexes are made by Godwit, as they have to be until the
 * cutover. Throws GW2105 when the tool leaves anything out.
 */
export async function restoreByTool(options: ToolRestoreOptions): Promise<void> {
  const { uri, path, medium, selection, lanes, signal } = options;
  const chosen = chosenOf(medium, selection);
  const packed = chosen.some(({ data }) => data.compression === 'gzip') || medium.packed;
  if (chosen.some(({ data }) => data.compression === 'zstd')) {
    throw new GodwitError('GW1001', 'mongorestore does not read a medium that is compressed with zstd', {
      details: { option: 'medium-tool' },
    });
  }
  if (chosen.length === 0) return;
  const names = chosen.map(({ spec: { db, name } }) => ({
    from: `${db}.${name}`,
    to: targetName(selection, db, name),
  }));
  const renamed = names.filter(({ from, to }) => from !== to);
  await runTool(
    'mongorestore',
    uri,
    [
      medium.container === 'archive' ? `--archive=${path}` : `--dir=${path}`,
      ...(packed ? ['--gzip'] : []),
      '--noIndexRestore',
      '--noOptionsRestore',
      '--bypassDocumentValidation',
      '--maintainInsertionOrder',
      `--numParallelCollections=${lanes}`,
      ...names.map(({ from }) => `--nsInclude=${escapeStars(from)}`),
      ...renamed.flatMap(({ from, to }) => [`--nsFrom=${escapeStars(from)}`, `--nsTo=${escapeStars(to)}`]),
    ],
    signal,
  );
  await assertRestored(options);
}

/** Documents in the target so far, of what is being restored. */
export async function restoredSoFar(options: ToolRestoreOptions): Promise<{ docs: number; bytes: number }> {
  const sum = { docs: 0, bytes: 0 };
  for (const { spec } of chosenOf(options.medium, options.selection)) {
    const { db, collection } = options.selection.target(spec.db, spec.name);
    const { docs, bytes } = await sizeOf(options.target, { db, name: collection });
    sum.docs += docs;
    sum.bytes += bytes;
  }
  return sum;
}

async function assertRestored({ medium, selection, target }: ToolRestoreOptions): Promise<void> {
  for (const { spec, data } of chosenOf(medium, selection)) {
    const { db, collection } = selection.target(spec.db, spec.name);
    const { docs } = await sizeOf(target, { db, name: collection });
    // A capped collection may take fewer than were read of it while it was written.
    if (docs === data.documents || (spec.capped && docs <= data.documents)) continue;
    throw new GodwitError('GW2105', `mongorestore left ${docs} of ${data.documents} documents in ${db}.${collection}`, {
      details: { namespace: `${db}.${collection}`, found: docs, expected: data.documents },
    });
  }
}

function chosenOf(medium: Medium, selection: Selection): Medium['collections'] {
  return medium.collections.filter(({ spec }) => isForTool(spec) && selection.includes(spec.db, spec.name));
}

function targetName(selection: Selection, db: string, name: string): string {
  const { db: toDb, collection } = selection.target(db, name);
  return `${toDb}.${collection}`;
}

/** Stars are patterns to the tool, and backslashes take their meaning away. */
function escapeStars(namespace: string): string {
  return namespace.replaceAll(/[\\*]/g, '\\$&').replaceAll('$', '\\$');
}
