import { serialize } from 'bson';
import { GodwitError } from '../../../kernel/errors.ts';
import type { Position } from '../../../kernel/position.ts';
import type { Cluster } from '../cluster.ts';
import { timestampOf } from '../position.ts';
import { type RawKey, rawKey, readByKeys } from '../verify/recheck.ts';
import type { WireConnection } from '../wire/connection.ts';
import { commandDoc } from '../wire/connection.ts';
import { readAll } from '../wire/read-all.ts';
import {
  DUPLICATE_KEY,
  deleteKeys,
  idOfStatement,
  refusal,
  sendWrite,
  type TargetName,
  type WriteError,
} from '../write.ts';
import { repairZeroTimestamps } from '../zero-timestamps.ts';
import type { Conflict } from './lane.ts';
import type { TrackedCollection } from './tracked.ts';

const MOST_ROUNDS = 50;

/**
 * Settles what a unique index of the target refused. The documents concerned,
 * and those that stand in their way, are taken from the source as of one
 * present moment, where they cannot be in each other's way, and put in place
 * together. They are ahead of the log then; it is replayed onto them as onto a
 * fresh copy, up to that moment.
 */
export async function settleConflicts(
  conflicts: readonly Conflict[],
  source: Cluster,
  target: WireConnection,
): Promise<Position | undefined> {
  if (conflicts.length === 0) return undefined;
  const byCollection = new Map<TrackedCollection, RawKey[]>();
  for (const { collection, statement } of conflicts) {
    const keys = byCollection.get(collection) ?? [];
    keys.push(rawKey(statement.id, statement.idType));
    byCollection.set(collection, keys);
  }
  const from = await source.connectPrimary();
  try {
    let last: Position | undefined;
    for (const [collection, keys] of byCollection) {
      last = await settleKeys(collection, keys, source, from, target);
      collection.fuzzyUntil = last > collection.fuzzyUntil ? last : collection.fuzzyUntil;
    }
    return last;
  } finally {
    from.close();
  }
}

/** What a conflict means where there is no source to ask. */
export function refusedByIndex(conflicts: readonly Conflict[]): GodwitError {
  const name = conflicts[0]?.collection.target;
  const namespace = name ? `${name.db}.${name.collection}` : '';
  return new GodwitError('GW5004', `A unique index of ${namespace} refuses what the log says`, {
    details: { namespace, conflicts: conflicts.length },
  });
}

/**
 * Puts the documents of some keys, and those in their way, as they are at the
 * source at one present moment, which it returns.
 */
export async function settleKeys(
  collection: Pick<TrackedCollection, 'uuid' | 'source' | 'target'>,
  unsettled: Iterable<RawKey>,
  source: Cluster,
  from: WireConnection,
  target: WireConnection,
): Promise<Position> {
  const keys = new Map<string, RawKey>();
  for (const key of unsettled) addKey(keys, key);
  for (let round = 0; round < MOST_ROUNDS; round += 1) {
    const moment = await source.note({ settle: collection.uuid });
    const concern = Buffer.from(serialize({ level: 'snapshot', atClusterTime: timestampOf(moment) }));
    const wanted = await readByKeys(from, { ...collection.source, uuid: collection.uuid }, [...keys.values()], concern);
    await deleteKeys(target, collection.target, keys.values());
    const docs = Buffer.concat([...wanted.values()]);
    const outcome =
      wanted.size === 0
        ? { errors: [] }
        : await sendWrite(target, 'insert', collection.target, docs, { ordered: false, majority: false });
    if (outcome.errors.length === 0) {
      await repairZeroTimestamps(target, collection.target, docs);
      return moment;
    }
    for (const error of outcome.errors) {
      if (error.code !== DUPLICATE_KEY) throw refusal(error, collection.target, idOfStatement(docs, error.index));
      for (const key of await blockers(target, collection.target, error)) addKey(keys, key);
    }
  }
  throw new GodwitError(
    'GW5001',
    `Unique keys of ${collection.target.db}.${collection.target.collection} cannot be brought in order`,
    {
      details: { namespace: `${collection.target.db}.${collection.target.collection}` },
    },
  );
}

function addKey(keys: Map<string, RawKey>, key: RawKey): void {
  keys.set(key.toString('latin1'), key);
}

/** The documents on the target that hold the key a refused one needs. */
async function blockers(target: WireConnection, name: TargetName, error: WriteError): Promise<RawKey[]> {
  if (!error.keyValue) return [];
  const find = commandDoc({ find: name.collection, filter: error.keyValue, projection: { _id: 1 }, $db: name.db });
  return readAll(target, find, name.db, name.collection);
}
