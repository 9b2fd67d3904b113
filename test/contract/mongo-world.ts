/** Two real one-member sets and a choice of one database, for the suites of the MongoDB adapter. */
import { type Document, deserialize, EJSON, serialize } from 'bson';
import {
  type ApplierMemory,
  type Catalog,
  Cluster,
  type CollectionSpec,
  createCollection,
  MongoCopier,
  MongoResyncer,
  makeSelection,
  OplogApplier,
  OplogSource,
  planChunks,
  planScan,
  type ResyncFindings,
  readCatalog,
  reconcileViews,
  type Selection,
  trackedOf,
} from '../../src/adapters/mongodb/index.ts';
import { systemClock } from '../../src/kernel/clock.ts';
import type { Chunk, LogBlock } from '../../src/kernel/ports.ts';
import type { Position } from '../../src/kernel/position.ts';
import { Throttle } from '../../src/kernel/throttle.ts';
import { type ReplicaSet, startReplicaSet } from '../servers/index.ts';
import type { ApplierStart } from './log-applier.ts';

export const never: AbortSignal = new AbortController().signal;
let databases = 0;

export class MongoWorld {
  readonly #sets: readonly ReplicaSet[];
  readonly source: Cluster;
  readonly target: Cluster;

  private constructor(sets: readonly ReplicaSet[], source: Cluster, target: Cluster) {
    this.#sets = sets;
    this.source = source;
    this.target = target;
  }

  static async start(): Promise<MongoWorld> {
    const sets = await Promise.all([startReplicaSet({ name: 'src' }), startReplicaSet({ name: 'dst' })]);
    const [source, target] = await Promise.all([
      Cluster.connect('source', sets[0].uri),
      Cluster.connect('target', sets[1].uri),
    ]);
    return new MongoWorld(sets, source, target);
  }

  async stop(): Promise<void> {
    await Promise.allSettled([this.source.close(), this.target.close()]);
    await Promise.all(this.#sets.map((set) => set.stop()));
  }

  /** A database of its own for one test. */
  room(): MongoRoom {
    databases += 1;
    return new MongoRoom(this, `room${databases}`);
  }
}

/** One chosen database on both sides. */
export class MongoRoom {
  readonly world: MongoWorld;
  readonly db: string;
  readonly selection: Selection;
  readonly #appliers: OplogApplier[] = [];
  readonly #copiers: { close(): void }[] = [];

  constructor(world: MongoWorld, db: string) {
    this.world = world;
    this.db = db;
    this.selection = makeSelection([db], [], []);
  }

  get from() {
    return this.world.source.db(this.db);
  }

  get to() {
    return this.world.target.db(this.db);
  }

  catalog(): Promise<Catalog> {
    return readCatalog(this.world.source, this.selection, never);
  }

  /** Makes the collections of a catalog on the target. */
  async createAll(catalog: Catalog): Promise<void> {
    const connection = await this.world.target.connectPrimary();
    try {
      for (const spec of catalog.collections)
        await createCollection(connection, { db: this.db, collection: spec.name }, spec);
    } finally {
      connection.close();
    }
  }

  async chunks(catalog: Catalog, bytes: number): Promise<Chunk[]> {
    const connection = await this.world.source.connectPrimary();
    try {
      const chunks: Chunk[] = [];
      for (const spec of catalog.collections) {
        for (const chunk of await planChunks(this.world.source, connection, spec, bytes))
          chunks.push({ ...chunk, id: chunks.length });
      }
      return chunks;
    } finally {
      connection.close();
    }
  }

  /** Each collection as one chunk in the order on disk. */
  async scans(catalog: Catalog): Promise<Chunk[]> {
    const scans: Chunk[] = [];
    for (const spec of catalog.collections)
      scans.push({ ...(await planScan(this.world.source, spec)), id: scans.length });
    return scans;
  }

  copier(catalog: Catalog): MongoCopier {
    const copier = new MongoCopier(this.#copyOptions(catalog));
    this.#copiers.push(copier);
    return copier;
  }

  resyncer(catalog: Catalog, onRepaired: (spec: CollectionSpec, found: ResyncFindings) => void): MongoResyncer {
    const resyncer = new MongoResyncer({ ...this.#copyOptions(catalog), onRepaired, onRecopied: () => undefined });
    this.#copiers.push(resyncer);
    return resyncer;
  }

  #copyOptions(catalog: Catalog) {
    const specs = new Map<string, CollectionSpec>(catalog.collections.map((spec) => [spec.uuid, spec]));
    return {
      source: this.world.source,
      target: this.world.target,
      readFrom: 'primary',
      unit: (uuid: string) => {
        const spec = specs.get(uuid)!;
        return { spec, target: { db: this.db, collection: spec.name } };
      },
      notBefore: catalog.position,
      throttle: new Throttle(systemClock),
      rememberStart: () => undefined,
    } as const;
  }

  startOf(catalog: Catalog): ApplierStart {
    const memory: ApplierMemory = {
      collections: catalog.collections.map((spec) =>
        trackedOf(spec, { db: this.db, collection: spec.name }, catalog.position),
      ),
      transactions: [],
    };
    return { position: catalog.position, memory };
  }

  async applier(from: ApplierStart, structureAsOf: Position): Promise<OplogApplier> {
    const { source, target } = this.world;
    const refuse = () => Promise.reject(new Error('Nothing is adopted here'));
    const applier = await OplogApplier.open(
      {
        source,
        target,
        selection: this.selection,
        lanes: 3,
        // As a checkpoint keeps it: JSON.
        memory: JSON.parse(JSON.stringify(from.memory)) as ApplierMemory,
        after: from.position,
        structureAsOf,
        fuzzyUntil: await source.note({ open: 'applier' }),
        adopt: refuse,
        reconcileViews: (db, to) => reconcileViews(source, to, this.selection, db),
      },
      never,
    );
    this.#appliers.push(applier);
    return applier;
  }

  log(): OplogSource {
    return new OplogSource({ cluster: this.world.source, selection: this.selection, readFrom: 'primary' });
  }

  /** The log after a position up to now, as one block. */
  async blockAfter(after: Position): Promise<LogBlock> {
    const log = this.log();
    const until = await log.mark(never);
    const stop = new AbortController();
    const parts: Buffer[] = [];
    let count = 0;
    let first: Position | undefined;
    let last = after;
    for await (const block of log.stream(after, stop.signal)) {
      parts.push(Buffer.from(block.bytes));
      count += block.count;
      first ??= block.first;
      last = block.last;
      if (last >= until) stop.abort();
    }
    return { first: first ?? after, last, count, bytes: Buffer.concat(parts) };
  }

  /** Everything in the database of one side: collections, indexes, documents with the types of their numbers. */
  async dump(side: 'source' | 'target', readConcern?: Document): Promise<unknown> {
    const db = side === 'source' ? this.from : this.to;
    const names = (await db.listCollections({}, { nameOnly: true }).toArray()).map(({ name }) => name).sort();
    const out: Record<string, unknown> = {};
    for (const name of names) {
      const command = {
        find: name,
        sort: { _id: 1 },
        batchSize: 100_000,
        singleBatch: true,
        ...(readConcern ? { readConcern } : {}),
      };
      const { cursor } = await db.command(command, { promoteValues: false });
      const indexes = await db.collection(name).indexes();
      out[name] = {
        docs: (cursor.firstBatch as Document[]).map((doc) =>
          EJSON.stringify(deserialize(serialize(doc), { promoteValues: false }), { relaxed: false }),
        ),
        indexes: indexes.map((index) => `${index.name} ${JSON.stringify(index.key)}`).sort(),
      };
    }
    return out;
  }

  close(): void {
    for (const applier of this.#appliers) applier.close();
    for (const copier of this.#copiers) copier.close();
  }
}
