/** A mixed stream of writes, made from a seed as raw statements, for the source and for the ceiling alike. */
import { BsonBuilder } from '../../src/adapters/mongodb/bson/builder.ts';
import type { Cluster } from '../../src/adapters/mongodb/cluster.ts';
import type { WireConnection } from '../../src/adapters/mongodb/wire/connection.ts';
import { sendWrite, type TargetName } from '../../src/adapters/mongodb/write.ts';
import { CUSTOMERS, DocumentMaker, randomOf, WORDS } from '../dataset.ts';

/** Statements of one kind, back to back. */
interface Statements {
  readonly bytes: Buffer;
  readonly count: number;
}

/**
 * Some operations by kind. Sent in the order insert, update, delete they give
 * what the operations in their own order give, since a deleted `_id` is never
 * used again.
 */
export interface OperationBatch {
  readonly insert: Statements;
  readonly update: Statements;
  readonly delete: Statements;
}

export interface OperationOptions {
  /** `_id`s that are there; strings. */
  readonly ids: readonly string[];
  readonly operations: number;
  readonly documentBytes: number;
  readonly seed: number;
  /** Every `_id` belongs to one lane, so that lanes can run side by side. */
  readonly lanes: number;
  readonly batchSize: number;
  /** One document that every batch increments so many times. */
  readonly hot?: { readonly id: string; readonly perBatch: number };
}

/** Shares of the kinds, summed up: 30 % inserts, 45 % `$set`, 10 % `$inc` and `$push`, 5 % replaced, 10 % deletes. */
const UP_TO = { insert: 0.3, set: 0.75, inc: 0.8, push: 0.85, replace: 0.9 } as const;
/** Where the text of a string `_id` begins in a document: length, type, name, length of the text. */
const ID_AT = 4 + 1 + 4 + 4;
const ID_LENGTH = 21;

class Lane {
  readonly insert = new BsonBuilder();
  readonly update = new BsonBuilder();
  readonly delete = new BsonBuilder();
  readonly batches: OperationBatch[] = [];
  count = 0;

  flush(hot: OperationOptions['hot']): void {
    for (let i = 0; i < (hot?.perBatch ?? 0); i += 1) {
      this.updateOf(hot?.id as string);
      this.update.startDocument('$inc').appendInt32('n', 1).end().end().end();
    }
    const take = (builder: BsonBuilder): Statements => {
      const taken = { bytes: Buffer.from(builder.finish()), count: builder.documents };
      builder.reset();
      return taken;
    };
    this.batches.push({ insert: take(this.insert), update: take(this.update), delete: take(this.delete) });
    this.count = 0;
  }

  /** Opens an update statement up to the inside of `u`. */
  updateOf(id: string): BsonBuilder {
    this.update.begin().startDocument('q').appendString('_id', id).end();
    return this.update.startDocument('u');
  }
}

/** All operations, by lane, each lane's batches in order. */
export function makeOperations(options: OperationOptions): OperationBatch[][] {
  const random = randomOf(options.seed);
  const maker = new DocumentMaker({ documents: 0, bytes: options.documentBytes, id: 'string', seed: options.seed + 1 });
  const scratch = Buffer.alloc(options.documentBytes + 512);
  const live = [...options.ids];
  const lanes = Array.from({ length: options.lanes }, () => new Lane());
  const laneOf = (id: string): Lane => lanes[id.charCodeAt(ID_LENGTH - 1) % options.lanes] as Lane;
  const word = (): string => WORDS[Math.floor(random() * WORDS.length)] as string;

  for (let i = 0; i < options.operations; i += 1) {
    const kind = random();
    const at = Math.floor(random() * live.length);
    const id = live[at] as string;
    let lane = laneOf(id);
    if (kind < UP_TO.insert) {
      const end = maker.write(scratch, 0);
      const made = scratch.toString('latin1', ID_AT, ID_AT + ID_LENGTH);
      live.push(made);
      lane = laneOf(made);
      lane.insert.appendRaw(scratch, 0, end);
    } else if (kind < UP_TO.set) {
      const set = lane.updateOf(id).startDocument('$set');
      set.appendDouble('total', Math.round(random() * 1e6) / 100).appendString('note', `${word()} ${word()}`);
      // One in three touches an index.
      if (i % 3 === 0) set.appendInt32('customer', Math.floor(random() * CUSTOMERS));
      set.end().end().end();
    } else if (kind < UP_TO.inc) {
      lane.updateOf(id).startDocument('$inc').appendInt32('n', 1).end().end().end();
    } else if (kind < UP_TO.push) {
      lane.updateOf(id).startDocument('$push').appendString('tags', word()).end().end().end();
    } else if (kind < UP_TO.replace) {
      const end = maker.write(scratch, 0);
      scratch.write(id, ID_AT, 'latin1');
      lane.update.begin().startDocument('q').appendString('_id', id).end().appendDocument('u', scratch, 0, end).end();
    } else {
      live[at] = live.at(-1) as string;
      live.pop();
      lane.delete.begin().startDocument('q').appendString('_id', id).end().appendInt32('limit', 1).end();
    }
    lane.count += 1;
    if (lane.count >= options.batchSize) lane.flush(options.hot);
  }
  for (const lane of lanes) lane.flush(options.hot);
  return lanes.map((lane) => lane.batches);
}

/** Sends one batch as unordered bulk writes; throws when not every statement did something. */
export async function sendBatch(connection: WireConnection, name: TargetName, batch: OperationBatch): Promise<void> {
  for (const kind of ['insert', 'update', 'delete'] as const) {
    const { bytes, count } = batch[kind];
    if (count === 0) continue;
    const outcome = await sendWrite(connection, kind, name, bytes, { ordered: false, majority: false });
    if (outcome.errors.length > 0 || outcome.n !== count) {
      throw new Error(`${kind}: ${outcome.n} of ${count}; ${JSON.stringify(outcome.errors[0] ?? {})}`);
    }
  }
}

/** How many operations a batch holds. */
export function sizeOfBatch(batch: OperationBatch): number {
  return batch.insert.count + batch.update.count + batch.delete.count;
}

/** All string `_id`s, in order, so that the same seed chooses the same ones. */
export async function readIds(cluster: Cluster, name: TargetName): Promise<string[]> {
  const cursor = cluster
    .db(name.db)
    .collection(name.collection)
    .find({}, { projection: { _id: 1 }, hint: '_id_' });
  const ids: string[] = [];
  for await (const doc of cursor) {
    const id: unknown = doc['_id'];
    // Probes and markers of other runs have shorter ones.
    if (typeof id === 'string' && id.length === ID_LENGTH) ids.push(id);
  }
  return ids;
}
