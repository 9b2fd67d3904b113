import {
  type Catalog,
  type Cluster,
  type CollectionSpec,
  createCollection,
  createIndexes,
  makeViews,
  namespaceOf,
  splitIndexes,
} from '../../adapters/mongodb/index.ts';
import { failpoint } from '../../kernel/failpoint.ts';
import type { RunContext } from './run-context.ts';

/** What building the structure of the target needs of a run, whether it copies or loads a medium. */
type TargetWork = Pick<RunContext, 'target' | 'selection' | 'signal' | 'store'>;

/** The place of a collection on the target. */
export function targetOf(run: TargetWork, spec: CollectionSpec) {
  return run.selection.target(spec.db, spec.name);
}

/** Makes all collections, empty. */
export async function createAll(run: TargetWork, catalog: Catalog): Promise<void> {
  const connection = await run.target.connectPrimary(run.signal);
  try {
    for (const spec of catalog.collections) await createCollection(connection, targetOf(run, spec), spec);
    failpoint('copy.create.after');
  } finally {
    connection.close();
  }
}

/** What is left to do for a collection when its documents are there. */
export async function finishCollection(run: TargetWork, spec: CollectionSpec): Promise<void> {
  await buildIndexes(run, run.target, targetOf(run, spec), splitIndexes(spec.indexes).now, { deferred: true });
  run.store.event('collection-ready', { namespace: namespaceOf(spec), indexes: spec.indexes.length });
}

/**
 * Builds indexes of a collection, two commands at once: the server builds the
 * indexes of one command on one thread, after one pass over the documents.
 */
export async function buildIndexes(
  run: Pick<TargetWork, 'signal'>,
  to: Cluster,
  name: { db: string; collection: string },
  indexes: readonly Buffer[],
  options: { deferred: boolean },
): Promise<void> {
  failpoint('copy.indexes.before');
  const shares = [0, 1]
    .map((share) => indexes.filter((_index, i) => i % 2 === share))
    .filter((share) => share.length > 0);
  await Promise.all(shares.map((share) => buildShare(run, to, name, share, options)));
  failpoint('copy.indexes.after');
}

async function buildShare(
  run: Pick<TargetWork, 'signal'>,
  to: Cluster,
  name: { db: string; collection: string },
  indexes: readonly Buffer[],
  options: { deferred: boolean },
): Promise<void> {
  const connection = await to.connectPrimary(run.signal);
  const stop = () => connection.close();
  run.signal.addEventListener('abort', stop, { once: true });
  try {
    await createIndexes(connection, name, indexes, options);
  } finally {
    run.signal.removeEventListener('abort', stop);
    connection.close();
  }
}

/** Makes the views of a catalog. */
export async function createViews(run: TargetWork, catalog: Catalog): Promise<void> {
  const connection = await run.target.connectPrimary(run.signal);
  try {
    for (const db of new Set(catalog.views.map((view) => view.db))) {
      await makeViews(
        connection,
        run.selection,
        db,
        catalog.views.filter((view) => view.db === db),
      );
    }
  } finally {
    connection.close();
  }
}
