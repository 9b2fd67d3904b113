import type { Document } from 'bson';
import { GodwitError, throwIfAborted } from '../../../kernel/errors.ts';
import type { ChangeSource, LogBlock } from '../../../kernel/ports.ts';
import type { Position } from '../../../kernel/position.ts';
import { docLength, findElement, valueOffset } from '../bson/walk.ts';
import type { Cluster } from '../cluster.ts';
import { serverCodeOf } from '../errors.ts';
import type { Selection } from '../namespaces.ts';
import { positionBefore, positionOfTimestamp, readPosition, timestampOf } from '../position.ts';
import { commandDoc, type WireConnection, type WireReply } from '../wire/connection.ts';
import { sliceBatch } from '../wire/cursor-batch.ts';
import { forEachOperation, type LogEntry, namespaceText, OP, readEntry } from './entry.ts';
import { splitNamespace } from './structure-change.ts';
import { operationsAt } from './transactions.ts';

export interface OplogSourceOptions {
  readonly cluster: Cluster;
  readonly selection: Selection;
  readonly readFrom: 'primary' | 'secondary';
}

/** A part of the log that is not applied yet. */
export interface LogBacklog {
  readonly events: number;
  readonly bytes: number;
  /** When the first of them was committed, seconds since the epoch; undefined for none. */
  readonly firstSeconds: number | undefined;
}

/** MaxTimeMSExpired */
const TIME_LIMIT = 50;
const COUNT_WITHIN_MS = 3_000;
const CAPPED_POSITION_LOST = 136;
const MOST_LOOKS = 20;
/** How long the server holds a request open at the end of its log. */
const AWAIT_MS = 500;

/**
 * The oplog itself as the source of changes: a tailing cursor whose replies go
 * to the spool as they are. Only majority-committed entries are read, so that
 * nothing which a fail-over rolls back ever reaches the target.
 *
 * The server filters: entries of the chosen namespaces, commands of their
 * databases, transactions that touch them, and all no-ops (they carry the
 * position forward while nothing of ours is written).
 */
export class OplogSource implements ChangeSource {
  readonly #options: OplogSourceOptions;

  constructor(options: OplogSourceOptions) {
    this.#options = options;
  }

  async *stream(after: Position, signal: AbortSignal): AsyncIterable<LogBlock> {
    const { cluster, readFrom } = this.#options;
    const connection = await (readFrom === 'primary'
      ? cluster.connectPrimary(signal)
      : cluster.connectSecondary(signal));
    const stop = () => connection.close();
    signal.addEventListener('abort', stop, { once: true });
    try {
      await cluster.waitForMajority(connection, after, signal);
      let reply = await connection.request(this.#find(after));
      let checked = false;
      for (;;) {
        let next: Promise<WireReply> | undefined;
        try {
          const batch = sliceBatch(reply.body);
          if (!checked) {
            // Asked after the cursor was opened: whatever it will give begins no later than this.
            await this.#checkHorizon(connection, after);
            checked = true;
          }
          if (batch.cursorId === 0n) throw new GodwitError('GW3003', 'The oplog cursor ended; it is opened again');
          next = connection.request(getMore(batch.cursorId));
          next.catch(() => undefined);
          const block = blockOf(batch.docs, batch.count, after);
          if (block) yield block;
        } finally {
          reply.release();
        }
        reply = await next;
      }
    } catch (error) {
      if (signal.aborted) return;
      throw error;
    } finally {
      signal.removeEventListener('abort', stop);
      connection.close();
    }
  }

  mark(signal: AbortSignal): Promise<Position> {
    throwIfAborted(signal);
    return this.#options.cluster.note({ mark: Date.now() });
  }

  async horizon(): Promise<Position> {
    const connection = await this.#options.cluster.connectPrimary();
    try {
      return await oldestPosition(connection);
    } finally {
      connection.close();
    }
  }

  /** What of the log lies after a position, no-ops left out; undefined when that takes too long to count. */
  async backlog(after: Position): Promise<LogBacklog | undefined> {
    const { cluster, readFrom } = this.#options;
    const connection = await (readFrom === 'primary' ? cluster.connectPrimary() : cluster.connectSecondary());
    try {
      const reply = await connection.run({
        aggregate: 'oplog.rs',
        pipeline: [
          { $match: { ...this.#filter(after), op: { $ne: 'n' } } },
          {
            $group: {
              _id: null,
              events: { $sum: 1 },
              bytes: { $sum: { $bsonSize: '$$ROOT' } },
              first: { $min: '$ts' },
            },
          },
        ],
        cursor: {},
        maxTimeMS: COUNT_WITHIN_MS,
        readConcern: { level: 'majority' },
        $readPreference: { mode: 'primaryPreferred' },
        $db: 'local',
      });
      const found = (reply['cursor'].firstBatch as Document[])[0];
      if (!found) return { events: 0, bytes: 0, firstSeconds: undefined };
      return { events: Number(found['events']), bytes: Number(found['bytes']), firstSeconds: Number(found['first'].t) };
    } catch (error) {
      if (serverCodeOf(error) === TIME_LIMIT) return undefined;
      throw error;
    } finally {
      connection.close();
    }
  }

  /** The first entry of a block that changes a chosen namespace, if any. */
  firstChange(block: LogBlock): { namespace: string; position: Position } | undefined {
    const { selection } = this.#options;
    for (let at = 0; at < block.bytes.length; ) {
      const entry = readEntry(block.bytes, at, true);
      at = entry.end;
      if (entry.op === OP.noop) continue;
      for (const namespace of changedNamespaces(entry)) {
        const { db, collection } = splitNamespace(namespace);
        if (selection.includes(db, collection) || (collection === '$cmd' && selection.touchesDatabase(db))) {
          return { namespace, position: entry.ts as Position };
        }
      }
    }
    return undefined;
  }

  async #checkHorizon(connection: WireConnection, after: Position): Promise<void> {
    const oldest = await oldestPosition(connection);
    if (oldest <= after) return;
    throw new GodwitError('GW4001', `The oplog of ${connection.host} begins after the position reached`, {
      details: { reached: after, oldest },
    });
  }

  #filter(after: Position): Document {
    const { selection } = this.#options;
    const chosen = { $regex: selection.namespacePattern };
    return {
      ts: { $gt: timestampOf(after) },
      $or: [
        { ns: chosen, op: { $ne: 'c' } },
        { op: 'c', ns: { $regex: selection.commandPattern } },
        { op: 'n' },
        { ns: 'admin.system.version' },
        {
          op: 'c',
          ns: 'admin.$cmd',
          $or: [
            { 'o.applyOps.ns': chosen },
            { 'o.applyOps.op': 'c' },
            { 'o.applyOps': { $exists: false } },
            // Parts and ends of longer transactions belong together even when one of them holds nothing of ours.
            { 'o.partialTxn': true },
            { 'o.prepare': true },
            { 'prevOpTime.ts': { $gt: timestampOf('0000000000000000' as Position) } },
          ],
        },
      ],
    };
  }

  #find(after: Position): Buffer {
    return commandDoc({
      find: 'oplog.rs',
      filter: this.#filter(after),
      tailable: true,
      awaitData: true,
      noCursorTimeout: true,
      batchSize: 0x7fffffff,
      maxTimeMS: 600_000,
      readConcern: { level: 'majority' },
      $readPreference: { mode: 'primaryPreferred' },
      $db: 'local',
    });
  }
}

function getMore(cursorId: bigint): Buffer {
  return commandDoc({ getMore: cursorId, collection: 'oplog.rs', maxTimeMS: AWAIT_MS, $db: 'local' });
}

async function oldestPosition(connection: WireConnection): Promise<Position> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await readOldest(connection);
    } catch (error) {
      // The oldest entry was thrown away under the very look at it, which says nothing of those we need.
      if (serverCodeOf(error) !== CAPPED_POSITION_LOST || attempt >= MOST_LOOKS) throw error;
    }
  }
}

async function readOldest(connection: WireConnection): Promise<Position> {
  const reply = await connection.run({
    find: 'oplog.rs',
    filter: {},
    sort: { $natural: 1 },
    limit: 1,
    projection: { ts: 1 },
    singleBatch: true,
    $readPreference: { mode: 'primaryPreferred' },
    $db: 'local',
  });
  const first = (reply['cursor'].firstBatch as Document[])[0];
  if (!first) throw new GodwitError('GW4001', 'The oplog is empty');
  return positionOfTimestamp(first['ts']);
}

function blockOf(docs: Buffer, count: number, after: Position): LogBlock | undefined {
  if (count === 0) return undefined;
  let last = 0;
  for (let at = 0; at < docs.length; at += docLength(docs, at)) last = at;
  const first = entryPosition(docs, 0);
  if (first <= after) throw new GodwitError('GW9001', 'The oplog gave an entry from before the position asked for');
  return { first, last: entryPosition(docs, last), count, bytes: docs };
}

/** The entries of a block that lie after a position; undefined when there are none. */
export function blockAfter(block: LogBlock, after: Position): LogBlock | undefined {
  if (block.first > after) return block;
  if (block.last <= after) return undefined;
  let [at, passed] = [0, 0];
  while (entryPosition(block.bytes, at) <= after) {
    at += docLength(block.bytes, at);
    passed += 1;
  }
  return {
    first: entryPosition(block.bytes, at),
    last: block.last,
    count: block.count - passed,
    bytes: block.bytes.subarray(at),
  };
}

function changedNamespaces(entry: LogEntry): string[] {
  const array = entry.op === OP.command ? operationsAt(entry) : -1;
  if (array < 0) return [namespaceText(entry)];
  const names: string[] = [];
  forEachOperation(entry.buf, array, (operation) => names.push(namespaceText(operation)));
  return names;
}

/** Position of the oplog entry at an offset. */
export function entryPosition(buf: Buffer, offset: number): Position {
  const at = findElement(buf, offset, 'ts');
  if (at < 0 || buf[at] !== 0x11) throw new GodwitError('GW5003', 'A log entry without a timestamp');
  return readPosition(buf, valueOffset(buf, at));
}

/**
 * Where the log must be read from so that no transaction open at `position`
 * is missed: just before the oldest operation of any that is still open.
 */
export async function oldestOpenTransaction(cluster: Cluster, position: Position): Promise<Position> {
  const connection = await cluster.connectPrimary();
  try {
    return await oldestTransactionOn(connection, position);
  } finally {
    connection.close();
  }
}

/** The same, as one member knows it now. */
export async function oldestTransactionOn(connection: WireConnection, position: Position): Promise<Position> {
  const reply = await connection.run({
    find: 'transactions',
    filter: { state: { $in: ['prepared', 'inProgress'] }, startOpTime: { $exists: true } },
    sort: { 'startOpTime.ts': 1 },
    limit: 1,
    singleBatch: true,
    readConcern: { level: 'local' },
    $readPreference: { mode: 'primaryPreferred' },
    $db: 'config',
  });
  const open = (reply['cursor'].firstBatch as Document[])[0];
  if (!open) return position;
  const start = positionOfTimestamp(open['startOpTime'].ts);
  // The log is read after the position given, and that entry is needed itself.
  return start <= position ? positionBefore(start) : position;
}
