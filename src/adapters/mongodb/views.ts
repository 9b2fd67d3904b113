import { type ViewSpec, listDatabase } from './catalog.ts';
import type { Cluster } from './cluster.ts';
import type { Selection } from './namespaces.ts';
import { createWithOptions, dropCollection } from './structure.ts';
import type { WireConnection } from './wire/connection.ts';

/**
 * Makes the views of a database on the target those of the source as they are
 * now. A view holds no data, so being ahead of the log with it harms nobody.
 */
export async function reconcileViews(source: Cluster, target: WireConnection, selection: Selection, db: string): Promise<void> {
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

/** Creates, replaces and drops views so that exactly these are there. */
export async function makeViews(
  target: WireConnection,
  selection: Selection,
  db: string,
  wanted: readonly ViewSpec[],
): Promise<void> {
  const targetDb = selection.target(db, 'x').db;
  const present = await listDatabase(target, targetDb, { type: 'view' });
  const kept = new Set<string>();
  for (const view of wanted) {
    const name = selection.target(db, view.name);
    kept.add(name.collection);
    const found = present.find((item) => item.name === name.collection);
    if (found?.options.equals(view.options)) continue;
    if (found) await dropCollection(target, name);
    await createWithOptions(target, name, view.options);
  }
  for (const item of present) {
    if (!kept.has(item.name)) await dropCollection(target, { db: targetDb, collection: item.name });
  }
}
