import { serialize } from 'bson';
import { GodwitError } from '../../../kernel/errors.ts';
import { failpoint } from '../../../kernel/failpoint.ts';
import { BsonBuilder } from '../bson/builder.ts';
import type { Cluster } from '../cluster.ts';
import type { Lane } from '../lane-pool.ts';
import { settleKeys } from '../log/settle.ts';
import type { TrackedCollection } from '../log/tracked.ts';
import { keyAt } from '../verify/aside.ts';
import type { DocStream } from '../verify/doc-stream.ts';
import { compareKeys, type RawKey, readByKeys } from '../verify/recheck.ts';
import { snapshotAt } from '../verify/verifier.ts';
import { DUPLICATE_KEY, deleteKeys, idOfStatement, refusal, sendWrite, waitForMajority } from '../write.ts';
import { repairZeroTimestamps } from '../zero-timestamps.ts';

/** Written together; the server takes 48 MB in one message. */
const BATCH_BYTES = 8 * 1024 * 1024;
const BATCH_KEYS = 10_000;
/** How often documents that unique keys push about are put in place before somebody else must be writing there. */
const MOST_ROUNDS = 20;
const MAJORITY = Buffer.from(serialize({ level: 'majority' }));

/** What was found of a collection: documents that the target lacked, had too much, had otherwise. */
export interface ResyncFindings {
  readonly missing: number;
  readonly extra: number;
  readonly different: number;
}

/** What is written of a collection: its identity at the source and its name at the target. */
export type RepairedCollection = Pick<TrackedCollection, 'uuid' | 'source' | 'target'>;

/**
 * Collects what differs of one collection and puts it right at the target: by
 * delete and insert, which keep every byte where a replacement would not
 * (names that begin with `$`, documents near the limit, keys equal but not the
 * same). Once a batch is written it is read back: when `flush` returns, a
 * majority of the target was seen to hold what the source gave.
 */
export class RepairBatch {
  readonly #collection: RepairedCollection;
  readonly #source: Cluster;
  readonly #lane: Lane;
  readonly #docs = new BsonBuilder(1 << 16);
  /** Keys to delete, and with their bytes the documents to insert; by key in hexadecimal, as `readByKeys` has it. */
  readonly #deletes = new Map<string, RawKey>();
  readonly #inserts = new Map<string, { key: RawKey; start: number; end: number }>();

  constructor(collection: RepairedCollection, source: Cluster, lane: Lane) {
    this.#collection = collection;
    this.#source = source;
    this.#lane = lane;
  }

  get isFull(): boolean {
    return this.#docs.length >= BATCH_BYTES || this.#deletes.size + this.#inserts.size >= BATCH_KEYS;
  }

  /** The target shall have the present document of a stream of the source. */
  put(stream: DocStream): void {
    const { buf, start, end } = stream;
    this.#putDocument(buf, start, end);
  }

  #putDocument(buf: Buffer, start: number, end: number): void {
    const { name, key } = keyAt(buf, start);
    const from = this.#docs.length;
    this.#docs.appendRaw(buf, start, end);
    this.#inserts.set(name, { key, start: from, end: this.#docs.length });
  }

  /** The target shall not have the present document of a stream of it, unless it is put as well. */
  remove(stream: DocStream): void {
    const { name, key } = keyAt(stream.buf, stream.start);
    this.#deletes.set(name, key);
  }

  /** Takes in what differs of some keys, by the bytes of both sides; gives how much that is. */
  async compare(keys: readonly RawKey[]): Promise<ResyncFindings> {
    const { source, target } = this.#collection;
    const here = { ...source, uuid: this.#collection.uuid };
    const wanted = await readByKeys(this.#lane.source, here, keys, MAJORITY);
    const there = { db: target.db, name: target.collection };
    const present = await readByKeys(this.#lane.target, there, keys, MAJORITY);
    const found = { missing: 0, extra: 0, different: 0 };
    for (const [name, doc] of wanted) {
      const other = present.get(name);
      if (other?.equals(doc)) {
        present.delete(name);
        continue;
      }
      found[other ? 'different' : 'missing'] += 1;
      this.#putDocument(doc, 0, doc.length);
    }
    for (const [name, doc] of present) {
      this.#deletes.set(name, keyAt(doc, 0).key);
      if (!wanted.has(name)) found.extra += 1;
    }
    return found;
  }

  async flush(): Promise<void> {
    if (this.#deletes.size + this.#inserts.size === 0) return;
    const { target } = this.#lane;
    const name = this.#collection.target;
    failpoint('resync.before-write');
    await deleteKeys(target, name, this.#deletes.values());
    failpoint('resync.mid-write');
    const doubtful = await this.#insert();
    doubtful.push(...(await this.#readBack()));
    if (doubtful.length > 0) await this.#settle(doubtful);
    failpoint('resync.after-write');
    this.#deletes.clear();
    this.#inserts.clear();
    this.#docs.reset();
  }

  /** Gives the keys that a unique index refused. */
  async #insert(): Promise<RawKey[]> {
    if (this.#inserts.size === 0) return [];
    const { target } = this.#lane;
    const name = this.#collection.target;
    const docs = this.#docs.finish();
    const outcome = await sendWrite(target, 'insert', name, docs, { ordered: false, majority: true });
    const refused = outcome.errors.find((error) => error.code !== DUPLICATE_KEY);
    if (refused) throw refusal(refused, name, idOfStatement(docs, refused.index));
    await repairZeroTimestamps(target, name, docs);
    const inserted = [...this.#inserts.values()];
    return outcome.errors.map((error) => (inserted[error.index] as { key: RawKey }).key);
  }

  /** Gives the keys of which the target does not hold what was written. */
  async #readBack(): Promise<RawKey[]> {
    const wanted = new Map([
      ...[...this.#deletes].map(([name, key]) => [name, { key, start: 0, end: 0 }] as const),
      ...this.#inserts,
    ]);
    const { db, collection } = this.#collection.target;
    const keys = [...wanted.values()].map(({ key }) => key);
    const found = await readByKeys(this.#lane.target, { db, name: collection }, keys, MAJORITY);
    const docs = this.#docs.finish();
    const wrong: RawKey[] = [];
    for (const [name, { key, start, end }] of wanted) {
      const doc = found.get(name);
      if (end === 0 ? doc !== undefined : !doc?.equals(docs.subarray(start, end))) wrong.push(key);
    }
    return wrong;
  }

  /** Unique keys that changed hands: the documents concerned are taken from the source as of one moment. */
  async #settle(keys: readonly RawKey[]): Promise<void> {
    const { source: from, target: to } = this.#lane;
    for (let round = 0; round < MOST_ROUNDS; round += 1) {
      const moment = await settleKeys(this.#collection, keys, this.#source, from, to);
      await waitForMajority(to);
      const concerns = { source: snapshotAt(moment), target: MAJORITY };
      if ((await compareKeys(from, to, this.#collection, keys, concerns)).length === 0) return;
    }
    const { db, collection } = this.#collection.target;
    throw new GodwitError(
      'GW5001',
      `${db}.${collection} does not keep what is written: does somebody else write there?`,
      {
        details: { namespace: `${db}.${collection}` },
      },
    );
  }
}
