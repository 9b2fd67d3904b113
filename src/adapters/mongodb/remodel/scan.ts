import { deserialize, MinKey, serialize } from 'bson';
import type { ClientSession, Db, Document, Sort } from 'mongodb';
import { systemClock } from '../../../kernel/clock.ts';
import { invariant, throwIfAborted } from '../../../kernel/errors.ts';
import type { CompareOptions, Identity } from '../../../kernel/remodel/index.ts';
import { throttleOf } from '../../../kernel/throttle.ts';
import { serverCodeOf } from '../errors.ts';
import { findControl } from './control.ts';
import { type ModelDocuments, RAW } from './documents.ts';
import { notCreated, oldCollection } from './identity-view.ts';
import { jsonText } from './json-write.ts';
import { compareKeys, KeyedStream } from './keyed-stream.ts';
import { CONTROL, identityOfId, idsOf } from './names.ts';
import { outboxOf, waitingOf } from './outbox.ts';
import { fieldOf, type Place } from './paths.ts';
import type { Room } from './relay.ts';
import type { TableDocuments } from './table-documents.ts';
import { storeError } from './transactions.ts';

/** An identity as a snapshot has it. */
export interface Scanned {
  readonly identity: Identity;
  readonly old: Buffer | undefined;
  /** Documents by new table. */
  readonly new: Readonly<Record<string, readonly Buffer[]>>;
  readonly isPending: boolean;
  readonly isQuarantined: boolean;
  readonly isBuried: boolean;
}

/** `byValue`: all of the documents; otherwise only their keys. */
export interface ScanOptions extends CompareOptions {
  /** Only old collection and root. */
  readonly withoutLists?: boolean;
  /** Told of each snapshot when its reading begins. */
  readonly onSnapshot: (name: string) => void;
  /** After this long the rest is read in a new snapshot. */
  readonly snapshotMs?: number;
}

/** Well below `minSnapshotHistoryWindowInSeconds`, 300 by default: a snapshot older than that may be gone. */
const SNAPSHOT_MS = 180_000;
const BATCH = 1_000;
/** SnapshotTooOld, SnapshotUnavailable, CursorNotFound: whoever reads may take his time. */
const SNAPSHOT_GONE = new Set([239, 246, 43]);
/** A collection made a moment ago is not in the snapshot yet. */
const MOST_IN_VAIN = 20;

/**
 * All identities in the order of their keys, from the old collection, the new
 * ones, the outbox, quarantine and tombstones of one moment: a snapshot of the
 * server, without a lock. Where one snapshot does not live long enough, the
 * rest of the keys is read in the next; each identity is always seen whole, in
 * one of them, and that is all that its comparison needs.
 */
export async function* scan(
  room: Room,
  documents: ModelDocuments,
  options: ScanOptions,
): AsyncGenerator<readonly Scanned[]> {
  const throttle = throttleOf(options.maxRate, systemClock);
  let from: Document | undefined;
  for (let inVain = 0; ; ) {
    const session = room.client.startSession({ snapshot: true });
    try {
      const range = new SnapshotRange(room.db, session, documents, options, from);
      for await (const batch of range.read()) {
        inVain = 0;
        from = range.last;
        yield batch;
        await throttle.take(batch.length, options.signal);
      }
      if (range.isComplete) return;
    } catch (error) {
      inVain += 1;
      const isGone = SNAPSHOT_GONE.has(serverCodeOf(error) ?? 0);
      if (!isGone || inVain > MOST_IN_VAIN) throw storeError(error, `reading a snapshot of ${documents.model.name}`);
    } finally {
      await session.endSession();
    }
  }
}

/** The part of the keys that one snapshot is read for. */
class SnapshotRange {
  readonly #db: Db;
  readonly #session: ClientSession;
  readonly #documents: ModelDocuments;
  readonly #options: ScanOptions;
  readonly #from: Document | undefined;
  #last: Place | undefined;
  isComplete = false;

  constructor(
    db: Db,
    session: ClientSession,
    documents: ModelDocuments,
    options: ScanOptions,
    from: Document | undefined,
  ) {
    this.#db = db;
    this.#session = session;
    this.#documents = documents;
    this.#options = options;
    this.#from = from;
  }

  /** The key last given, as `{ k: value }`. */
  get last(): Document | undefined {
    return this.#last === undefined ? this.#from : keyDocument(this.#last);
  }

  async *read(): AsyncGenerator<readonly Scanned[]> {
    const until = performance.now() + (this.#options.snapshotMs ?? SNAPSHOT_MS);
    const marks = await this.#marks();
    const streams = await this.#streams();
    try {
      const [old, ...tables] = streams as [KeyedStream, ...KeyedStream[]];
      for (;;) {
        throwIfAborted(this.#options.signal);
        const batch: Scanned[] = [];
        while (batch.length < BATCH) {
          const found = await this.#next(old, tables, marks);
          if (found === undefined) break;
          batch.push(found);
        }
        if (batch.length > 0) yield batch;
        if (batch.length < BATCH) {
          this.isComplete = true;
          return;
        }
        if (performance.now() > until) return;
      }
    } finally {
      await Promise.all(streams.map((stream) => stream.close()));
    }
  }

  /** The identity with the least key, taken off all streams. */
  async #next(old: KeyedStream, tables: readonly KeyedStream[], marks: Marks): Promise<Scanned | undefined> {
    const least = await leastKey([old, ...tables]);
    if (least === undefined) return undefined;
    const oldDocument = (await takeAll(old, least))[0];
    const found: Record<string, Buffer[]> = {};
    for (const [index, [as]] of this.#tables.entries()) found[as] = await takeAll(tables[index] as KeyedStream, least);
    const identity = this.#identityOf(oldDocument, found, least);
    this.#last = least;
    return {
      identity,
      old: oldDocument,
      new: found,
      isPending: marks.pending.has(identity),
      isQuarantined: marks.quarantined.has(identity),
      isBuried: marks.buried.has(identity),
    };
  }

  /** A key of another type than the model's is told as JSON: it is no identity of the model. */
  #identityOf(old: Buffer | undefined, found: Readonly<Record<string, readonly Buffer[]>>, key: Place): Identity {
    const { old: oldTable, new: tables } = this.#documents;
    const places: (readonly [TableDocuments, Buffer | undefined])[] = [
      [oldTable, old],
      ...Object.entries(tables).map(([as, table]) => [table, found[as]?.[0]] as const),
    ];
    for (const [table, raw] of places) {
      try {
        if (raw !== undefined) return table.identityOf(raw);
      } catch {
        // Another collection may have it with the right type: 7 and 7.0 are one key to the server.
      }
    }
    return key.type === 0x0a ? 'null' : jsonText(key.type, key.buf, key.start, key.end);
  }

  get #tables(): readonly (readonly [string, TableDocuments])[] {
    const { model, root, new: tables } = this.#documents;
    return this.#options.withoutLists === true ? [[model.root, root]] : Object.entries(tables);
  }

  async #marks(): Promise<Marks> {
    const { model } = this.#documents;
    const named = async (collection: string, filter: Document) => {
      const found = new Set<Identity>();
      const options = { session: this.#session, projection: { _id: 1 as const } };
      for await (const { _id } of this.#db.collection<{ _id: string }>(collection).find(filter, options))
        found.add(identityOfId(model, _id));
      return found;
    };
    return {
      pending: await named(outboxOf(this.#db).collectionName, waitingOf(model)),
      quarantined: await named(CONTROL.quarantine, { _id: idsOf(model) }),
      buried: await named(CONTROL.tombstone, { _id: idsOf(model) }),
    };
  }

  async #streams(): Promise<KeyedStream[]> {
    const { model, old } = this.#documents;
    const control = await findControl(this.#db, model, this.#session);
    if (control === undefined) throw notCreated(model.name);
    const name = oldCollection(this.#db, this.#documents, control).collectionName;
    this.#options.onSnapshot(snapshotName(this.#session));
    const streams = [this.#stream(old, name), ...this.#tables.map(([, table]) => this.#stream(table, table.name))];
    for (const stream of streams) await this.#skipSeen(stream);
    return streams;
  }

  #stream(table: TableDocuments, name: string): KeyedStream {
    const { keyPath, idPath, projection } = table;
    const sort: Sort = { [keyPath]: 1 };
    const hint = idPath === undefined ? { [keyPath]: 1 } : { [keyPath]: 1, [idPath]: 1 };
    const first = this.#from?.['k'];
    const bounds =
      this.#from === undefined ? {} : { min: { [keyPath]: first, ...(idPath && { [idPath]: new MinKey() }) } };
    const fields = this.#options.byValue ? projection : { [keyPath]: 1 };
    const options = { ...RAW, ...bounds, session: this.#session, projection: fields, batchSize: BATCH };
    return new KeyedStream(this.#db.collection(name).find({}, options).sort(sort).hint(hint), keyPath);
  }

  /** Bounds are inclusive: what the last range gave already is left out. */
  async #skipSeen(stream: KeyedStream): Promise<void> {
    if (this.#from === undefined) return;
    const seen = placeOfKey(this.#from);
    await stream.fill();
    if (stream.key !== undefined) await takeAll(stream, seen);
  }
}

/** A key as a document `{ k: key }` that the driver can send. */
function keyDocument({ type, buf, start, end }: Place): Document {
  const value = buf.subarray(start, end);
  const bytes = Buffer.concat([Buffer.alloc(4), Buffer.from([type, 0x6b, 0]), value, Buffer.from([0])]);
  bytes.writeInt32LE(bytes.length, 0);
  return deserialize(bytes, { promoteValues: false, bsonRegExp: true });
}

function placeOfKey(key: Document): Place {
  const place = fieldOf(Buffer.from(serialize(key)), 0, 'k');
  invariant(place !== undefined, 'a key that cannot be written again');
  return place;
}

interface Marks {
  readonly pending: ReadonlySet<Identity>;
  readonly quarantined: ReadonlySet<Identity>;
  readonly buried: ReadonlySet<Identity>;
}

async function leastKey(streams: readonly KeyedStream[]): Promise<Place | undefined> {
  let least: Place | undefined;
  for (const stream of streams) {
    if (stream.isSpent) await stream.fill();
    const { key } = stream;
    if (key !== undefined && (least === undefined || compareKeys(key, least) < 0)) least = key;
  }
  return least;
}

async function takeAll(stream: KeyedStream, key: Place): Promise<Buffer[]> {
  const taken: Buffer[] = [];
  for (;;) {
    if (stream.isSpent) await stream.fill();
    if (stream.key === undefined || compareKeys(stream.key, key) !== 0) return taken;
    taken.push(stream.document as Buffer);
    stream.advance();
  }
}

/** When the snapshot is, once something was read in it. */
function snapshotName(session: ClientSession): string {
  const time = (session as unknown as { readonly snapshotTime?: { readonly t: number; readonly i: number } })
    .snapshotTime;
  return time === undefined ? 'unknown' : `${time.t}.${time.i}`;
}
