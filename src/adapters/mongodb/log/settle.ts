import { serialize } from 'bson';
import { GodwitError } from '../../../kernel/errors.ts';
import type { Position } from '../../../kernel/position.ts';
import { BsonBuilder } from '../bson/builder.ts';
import type { Cluster } from '../cluster.ts';
import { timestampOf } from '../position.ts';
import { type RawKey, rawKey, readByKeys } from '../verify/recheck.ts';
import type { WireConnection } from '../wire/connection.ts';
import { commandDoc } from '../wire/connection.ts';
import { readAll } from '../wire/read-all.ts';
import { DUPLICATE_KEY, idOfStatement, refusal, sendWrite, type TargetName, type WriteError } from '../write.ts';
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
  const byCollection = new Map<TrackedCollection, Map<string, RawKey>>();
  for (const { collection, statement } of conflicts) {
    const keys = byCollection.get(collection) ?? new Map<string, RawKey>();
    addKey(keys, rawKey(statement.id, statement.idType));
    byCollection.set(collection, keys);
  }
  const from = await source.connectPrimary();
  try {
    let last: Position | undefined;
    for (const [collection, keys] of byCollection) {
      last = await settleCollection(collection, keys, source, from, target);
      collection.fuzzyUntil = last > collection.fuzzyUntil ? last : collection.fuzzyUntil;
    }
    return last;
  } finally {
    from.close();
  }
}

async function settleCollection(
  collection: TrackedCollection,
  keys: Map<string, RawKey>,
  source: Cluster,
  from: WireConnection,
  target: WireConnection,
): Promise<Position> {
  for (let round = 0; round < MOST_ROUNDS; round += 1) {
    const moment = await source.note({ settle: collection.uuid });
    const concern = Buffer.from(serialize({ level: 'snapshot', atClusterTime: timestampOf(moment) }));
    const wanted = await readByKeys(from, { ...collection.source, uuid: collection.uuid }, [...keys.values()], concern);
    await removeAll(target, collection.target, keys.values());
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

async function removeAll(target: WireConnection, name: TargetName, keys: Iterable<RawKey>): Promise<void> {
  const deletes = new BsonBuilder(4096);
  for (const key of keys) {
    deletes
      .begin()
      .startDocument('q')
      .startDocument('_id')
      .appendElement(key[4] as number, '$eq', key, 9, key.length - 1)
      .end()
      .end();
    deletes.appendInt32('limit', 1).end();
  }
  const outcome = await sendWrite(target, 'delete', name, deletes.finish(), { ordered: false, majority: false });
  const [error] = outcome.errors;
  if (error) throw refusal(error, name, '(several)');
}

/** The documents on the target that hold the key a refused one needs. */
async function blockers(target: WireConnection, name: TargetName, error: WriteError): Promise<RawKey[]> {
  if (!error.keyValue) return [];
  const find = commandDoc({ find: name.collection, filter: error.keyValue, projection: { _id: 1 }, $db: name.db });
  return readAll(target, find, name.db, name.collection);
}
