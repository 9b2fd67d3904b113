import { Timestamp } from 'bson';
import type { Cluster } from '../cluster.ts';
import { fromDriver } from '../errors.ts';
import type { Selection } from '../namespaces.ts';

const SYSTEM_DATABASES = new Set(['admin', 'config', 'local']);

/** Namespaces outside the selection that were written in the last seconds, from the log itself. */
export async function readNeighbourWrites(cluster: Cluster, selection: Selection, seconds: number): Promise<string[]> {
  const { localTime } = await cluster.command('admin', { hello: 1 });
  const since = new Timestamp({ t: Math.floor((localTime as Date).getTime() / 1000) - seconds, i: 0 });
  const found = new Set<string>();
  try {
    // The server groups: thousands of entries a second must not travel just to be counted.
    const cursor = cluster
      .db('local')
      .collection('oplog.rs')
      .aggregate([
        { $match: { ts: { $gte: since }, op: { $in: ['i', 'u', 'd', 'c'] } } },
        { $project: { ns: { $ifNull: ['$o.applyOps.ns', ['$ns']] } } },
        { $unwind: '$ns' },
        { $group: { _id: '$ns' } },
      ]);
    for await (const { _id: namespace } of cursor) {
      if (typeof namespace === 'string' && isNeighbours(namespace, selection)) found.add(namespace);
    }
  } catch (error) {
    throw fromDriver(error, `reading the log of the ${cluster.name}`);
  }
  return [...found].sort();
}

function isNeighbours(namespace: string, selection: Selection): boolean {
  const dot = namespace.indexOf('.');
  const db = namespace.slice(0, dot);
  const collection = namespace.slice(dot + 1);
  if (dot <= 0 || SYSTEM_DATABASES.has(db)) return false;
  // A change of structure names the database only.
  if (collection === '$cmd') return !selection.touchesDatabase(db);
  if (collection.startsWith('system.') && !collection.startsWith('system.buckets.') && collection !== 'system.js')
    return false;
  return !selection.includes(db, collection);
}
