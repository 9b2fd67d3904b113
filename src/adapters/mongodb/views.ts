import { GodwitError } from '../../kernel/errors.ts';
import { listDatabase, type ViewSpec } from './catalog.ts';
import type { Cluster } from './cluster.ts';
import type { Selection } from './namespaces.ts';
import { createWithOptions, dropCollection } from './structure.ts';
import type { WireConnection } from './wire/connection.ts';

/**
 * Makes the views of a database on the target those of the source as they are
 * now. A view holds no data, so being ahead of the log with it harms nobody.
 */
export async function reconcileViews(
  source: Cluster,
  target: WireConnection,
  selection: Selection,
  db: string,
): Promise<void> {
  const connection = await source.connectPrimary();
  try {
    const wanted: ViewSpec[] = (await listDatabase(connection, db, { type: 'view' }))
      .filter((item) => selection.includes(db, item.name))
      .map((item) => ({ db, name: item.name, options: item.options }));
    await makeViews(target, selection, db, wanted);
  } finally {
    connection.close();
  }
}

/**
 * Creates, replaces and drops views so that exactly these are there. Views
 * may stand on each other, so what has to go goes first, and the rest is
 * created in rounds.
 * @returns names of those that the target refuses at the moment: a collection
 *   may still have the name, which the log will change
 */
export async function makeViews(
  target: WireConnection,
  selection: Selection,
  db: string,
  wanted: readonly ViewSpec[],
): Promise<string[]> {
  const targetDb = selection.target(db, 'x').db;
  const present = await listDatabase(target, targetDb, { type: 'view' });
  const byName = new Map(wanted.map((view) => [selection.target(db, view.name).collection, view]));
  for (const item of present) {
    // Somebody else's views may live in the same database: only what a chosen name leads to is ours to drop.
    const ours =
      byName.has(item.name) ||
      (selection.includes(db, item.name) && selection.target(db, item.name).collection === item.name);
    if (!selection.ownsTarget(targetDb, item.name)) continue;
    if (byName.get(item.name)?.options.equals(item.options)) byName.delete(item.name);
    else if (ours) await dropCollection(target, { db: targetDb, collection: item.name });
  }
  for (let before = -1; byName.size !== before && byName.size > 0; ) {
    before = byName.size;
    for (const [collection, view] of byName) {
      if (await tryCreate(target, { db: targetDb, collection }, view)) byName.delete(collection);
    }
  }
  return [...byName.keys()];
}

async function tryCreate(
  target: WireConnection,
  name: { db: string; collection: string },
  view: ViewSpec,
): Promise<boolean> {
  const [taken] = await listDatabase(target, name.db, { name: name.collection });
  if (taken) return false;
  try {
    await createWithOptions(target, name, view.options);
    return true;
  } catch (error) {
    if (error instanceof GodwitError && error.code === 'GW5002') return false;
    throw error;
  }
}
