import type { Document } from 'bson';
import type { Selection } from '../namespaces.ts';

/** As `rolesInfo` and `usersInfo` show it. */
export interface Privilege {
  readonly resource: Document;
  readonly actions: readonly string[];
}

/**
 * Actions that change what a run moves. `bypassDocumentValidation` is none: it
 * allows nothing by itself. `anyAction` is all of them.
 */
const WRITE_ACTIONS = new Set([
  'anyAction',
  'insert',
  'update',
  'remove',
  'createCollection',
  'dropCollection',
  'createIndex',
  'dropIndex',
  'collMod',
  'renameCollectionSameDB',
  'convertToCapped',
  'dropDatabase',
  'compactStructuredEncryptionData',
  'cleanupStructuredEncryptionData',
  'createSearchIndexes',
  'dropSearchIndex',
  'updateSearchIndex',
]);

const isWrite = (action: string): boolean => WRITE_ACTIONS.has(action);

/**
 * How far the writes of a privilege reach into the chosen namespaces: not at
 * all, into them by the name of their database, or because it is for every
 * database, as an administrator's is.
 */
export type Reach = 'none' | 'named' | 'any';

export function writeReach(privilege: Privilege, selection: Selection): Reach {
  if (!privilege.actions.some(isWrite)) return 'none';
  const { anyResource, cluster, db, collection, system_buckets: buckets } = privilege.resource;
  if (anyResource) return 'any';
  if (cluster) return 'none';
  const name = bucketsName(buckets) ?? String(collection ?? '');
  // Of every database: collections of the server's own hold nothing that a run moves.
  if (!db) return name.startsWith('system.') && buckets === undefined ? 'none' : 'any';
  if (name === '' || buckets === '') return selection.touchesDatabase(db) ? 'named' : 'none';
  return selection.includes(db, name) ? 'named' : 'none';
}

function bucketsName(buckets: unknown): string | undefined {
  return typeof buckets === 'string' ? `system.buckets.${buckets}` : undefined;
}

/** The furthest reach of several privileges. */
export function furthest(privileges: readonly Privilege[], selection: Selection): Reach {
  const reaches = privileges.map((privilege) => writeReach(privilege, selection));
  if (reaches.includes('any')) return 'any';
  return reaches.includes('named') ? 'named' : 'none';
}

/**
 * The same privileges without writes to the chosen namespaces. Where a grant is
 * for a whole database of which only a part moves, the writes are granted again
 * for each other collection by name; a collection that does not exist yet has
 * none, so that a business cannot create others while it is fenced.
 *
 * @param others the collections of a database that do not move
 */
export function withoutWrites(
  privileges: readonly Privilege[],
  selection: Selection,
  others: (db: string) => readonly string[],
): Privilege[] {
  const out: Privilege[] = [];
  for (const privilege of privileges) {
    if (writeReach(privilege, selection) !== 'named') {
      out.push(privilege);
      continue;
    }
    const { resource, actions } = privilege;
    const left = actions.filter((action) => !isWrite(action));
    if (left.length > 0) out.push({ resource, actions: left });
    if (resource['collection'] !== '') continue;
    const db = resource['db'] as string;
    const writes = actions.filter((action) => isWrite(action) && action !== 'dropDatabase');
    for (const collection of others(db)) out.push({ resource: { db, collection }, actions: writes });
  }
  return out;
}
