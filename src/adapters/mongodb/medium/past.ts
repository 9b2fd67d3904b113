import { type Document, deserialize, serialize } from 'bson';
import type { Position } from '../../../kernel/position.ts';
import { BsonBuilder } from '../bson/builder.ts';
import type { CollectionSpec } from '../catalog.ts';
import type { Cluster } from '../cluster.ts';
import { splitNamespace } from '../log/structure-change.ts';
import type { Selection } from '../namespaces.ts';
import { uuidBytes } from '../partition.ts';
import { positionOfTimestamp, timestampOf } from '../position.ts';
import { commandDoc } from '../wire/connection.ts';
import { readAll } from '../wire/read-all.ts';

/** Whether the server can read a collection as of a position; the server's reason when it cannot. */
export async function canReadAsOf(cluster: Cluster, spec: CollectionSpec, position: Position): Promise<string | true> {
  if (spec.capped) return 'servers keep no history of capped collections';
  const connection = await cluster.connectPrimary();
  try {
    const concern = Buffer.from(serialize({ level: 'snapshot', atClusterTime: timestampOf(position) }));
    const find = new BsonBuilder(256).begin().appendElement(0x05, 'find', uuidBytes(spec.uuid));
    find
      .startDocument('projection')
      .appendInt32('_id', 1)
      .end()
      .appendInt32('limit', 1)
      .appendBool('singleBatch', true);
    find.appendDocument('readConcern', concern).appendString('$db', spec.db).end();
    await readAll(connection, find.finish(), spec.db, spec.name);
    return true;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  } finally {
    connection.close();
  }
}

/** Whether structure of the chosen namespaces was changed after one position and up to another. The log must hold both. */
export async function structureChangedBetween(
  cluster: Cluster,
  selection: Selection,
  after: Position,
  upTo: Position,
): Promise<boolean> {
  const connection = await cluster.connectPrimary();
  try {
    const find = {
      find: 'oplog.rs',
      filter: {
        ts: { $gt: timestampOf(after), $lte: timestampOf(upTo) },
        $or: [
          { op: 'c', ns: { $regex: selection.commandPattern }, 'o.applyOps': { $exists: false } },
          { op: 'c', 'o.applyOps.op': 'c' },
          { ns: { $regex: '^[^.]+\\.system\\.views$' } },
        ],
      },
      $db: 'local',
    };
    const entries = await readAll(connection, commandDoc(find), 'local', 'oplog.rs');
    return entries.some((entry) => changesStructure(deserialize(entry), selection));
  } finally {
    connection.close();
  }
}

/** A command of the log, a transaction that holds some, or a change of a database's views. */
function changesStructure({ ns, o }: Document, selection: Selection): boolean {
  const db = String(ns).slice(0, String(ns).indexOf('.'));
  if (String(ns).endsWith('.system.views')) return selection.touchesDatabase(db);
  if (Array.isArray(o.applyOps))
    return o.applyOps.some((inner: Document) => inner['op'] === 'c' && changesStructure(inner, selection));
  const [name = ''] = Object.keys(o);
  if (name === 'dropDatabase') return selection.touchesDatabase(db);
  // A build shows in the structure when it is committed.
  if (name === 'startIndexBuild' || name === 'abortIndexBuild') return false;
  if (name !== 'renameCollection') return selection.includes(db, String(o[name]));
  return [o.renameCollection, o.to].some((namespace) => {
    const { db: its, collection } = splitNamespace(String(namespace));
    return selection.includes(its, collection);
  });
}

/** A member that stays behind on purpose. */
export interface DelayedMember {
  readonly host: string;
  readonly delaySeconds: number;
  /** What it has applied; absent when it does not answer. */
  readonly applied: Position | undefined;
}

/** The member that comes to a position next, of those that stay behind on purpose and have not come to it yet. */
export async function delayedBefore(cluster: Cluster, position: Position): Promise<DelayedMember | undefined> {
  const before = (await delayedMembers(cluster)).filter(({ applied }) => applied !== undefined && applied <= position);
  return before.sort((a, b) => a.delaySeconds - b.delaySeconds)[0];
}

export async function delayedMembers(cluster: Cluster): Promise<DelayedMember[]> {
  const config = await cluster.command('admin', { replSetGetConfig: 1 });
  const status = await cluster.command('admin', { replSetGetStatus: 1 });
  const seen = new Map<string, Position>();
  for (const member of (status['members'] ?? []) as { name: string; optime?: { ts: { t: number; i: number } } }[]) {
    if (member.optime) seen.set(member.name, positionOfTimestamp(member.optime.ts));
  }
  const members = (config['config']?.members ?? []) as {
    host: string;
    secondaryDelaySecs?: unknown;
    slaveDelay?: unknown;
  }[];
  return members
    .map(({ host, secondaryDelaySecs, slaveDelay }) => ({
      host,
      delaySeconds: Number(secondaryDelaySecs ?? slaveDelay ?? 0),
      applied: seen.get(host),
    }))
    .filter((member) => member.delaySeconds > 0);
}
