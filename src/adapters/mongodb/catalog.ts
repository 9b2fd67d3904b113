import { Binary, type Document } from 'bson';
import { GodwitError, throwIfAborted } from '../../kernel/errors.ts';
import type { Position } from '../../kernel/position.ts';
import { docLength, elementEnd, findElement, valueOffset } from './bson/walk.ts';
import type { Cluster } from './cluster.ts';
import { serverCodeOf } from './errors.ts';
import type { Selection } from './namespaces.ts';
import { timestampOf } from './position.ts';
import { commandDoc, type WireConnection } from './wire/connection.ts';
import { readAll } from './wire/read-all.ts';

/**
 * The structure of the chosen namespaces. Options and index specifications
 * stay raw BSON: decoding them would lose number types and, worse, the order
 * of keys that look like numbers.
 */
export interface CollectionSpec {
  /** The server's own identity of the collection, 32 hexadecimal digits. */
  readonly uuid: string;
  readonly db: string;
  readonly name: string;
  readonly options: Buffer;
  /** Secondary indexes that are ready. */
  readonly indexes: readonly Buffer[];
  readonly capped: boolean;
  readonly clustered: boolean;
  /** For the bucket collection of a time series: the options of the series. */
  readonly series?: Buffer;
  /** A default collation other than `simple`: equal keys need not have equal bytes. */
  readonly collated: boolean;
}

export interface ViewSpec {
  readonly db: string;
  readonly name: string;
  readonly options: Buffer;
}

export interface Catalog {
  /** The listing holds everything up to here and nothing later. */
  readonly position: Position;
  readonly collections: readonly CollectionSpec[];
  readonly views: readonly ViewSpec[];
}

const BUCKETS = 'system.buckets.';
const LISTING_ATTEMPTS = 200;
/** NamespaceNotFound, SnapshotUnavailable: the collection was not so at that time. */
const NOT_AS_OF = new Set([26, 246]);
/** The connection may be one to a secondary, which refuses to list without. */
const SECONDARY_OK = { mode: 'primaryPreferred' } as const;

/** `db.collection` */
export function namespaceOf(spec: { db: string; name: string }): string {
  return `${spec.db}.${spec.name}`;
}

/** The UUID as the server takes it in place of a name. */
export function uuidValue(uuid: string): Binary {
  return new Binary(Buffer.from(uuid, 'hex'), 4);
}

/**
 * Lists the chosen collections and views as of one position: the listing is
 * repeated until no change of structure fell into it.
 */
export async function readCatalog(cluster: Cluster, selection: Selection, signal: AbortSignal): Promise<Catalog> {
  const connection = await cluster.connectPrimary(signal);
  try {
    for (let attempt = 1; ; attempt += 1) {
      throwIfAborted(signal);
      const before = await cluster.note({ catalog: 'before' });
      const listed = await listChosen(connection, selection);
      const after = await cluster.note({ catalog: 'after' });
      if (!(await structureChanged(connection, selection, before, after))) return { position: after, ...listed };
      if (attempt >= LISTING_ATTEMPTS) {
        throw new GodwitError(
          'GW3003',
          `The ${cluster.name} changes its structure all the time; no quiet moment to list it`,
        );
      }
    }
  } finally {
    connection.close();
  }
}

/**
 * Lists them on a member that stands still at a position. Undefined when the
 * member holds a change of structure from after it: a change is carried out a
 * moment before the position counts it, and the stop may have come in between.
 */
export async function readCatalogAt(
  connection: WireConnection,
  selection: Selection,
  position: Position,
): Promise<Catalog | undefined> {
  const listed = await listChosen(connection, selection);
  const readConcern = { level: 'snapshot', atClusterTime: timestampOf(position) };
  for (const { uuid, db, capped } of listed.collections) {
    // Capped ones have no snapshots; there is only what they hold.
    if (capped) continue;
    try {
      await connection.run({
        find: uuidValue(uuid),
        limit: 1,
        singleBatch: true,
        readConcern,
        $readPreference: SECONDARY_OK,
        $db: db,
      });
    } catch (error) {
      if (NOT_AS_OF.has(serverCodeOf(error) ?? 0)) return undefined;
      throw error;
    }
  }
  return { position, ...listed };
}

async function structureChanged(
  connection: WireConnection,
  selection: Selection,
  after: Position,
  upTo: Position,
): Promise<boolean> {
  const reply = await connection.run({
    find: 'oplog.rs',
    filter: {
      ts: { $gt: timestampOf(after), $lte: timestampOf(upTo) },
      $or: [
        { op: 'c', ns: { $regex: selection.commandPattern } },
        { op: 'c', 'o.applyOps.op': 'c' },
        { ns: { $regex: '^[^.]+\\.system\\.views$' } },
      ],
    },
    limit: 1,
    singleBatch: true,
    $db: 'local',
  });
  return (reply['cursor'].firstBatch as Document[]).length > 0;
}

async function listChosen(
  connection: WireConnection,
  selection: Selection,
): Promise<{ collections: CollectionSpec[]; views: ViewSpec[] }> {
  const databases = await connection.run({
    listDatabases: 1,
    nameOnly: true,
    authorizedDatabases: false,
    $readPreference: SECONDARY_OK,
    $db: 'admin',
  });
  const collections: CollectionSpec[] = [];
  const views: ViewSpec[] = [];
  for (const { name: db } of databases['databases'] as { name: string }[]) {
    if (!selection.touchesDatabase(db)) continue;
    const listing = await listDatabase(connection, db);
    const series = new Map(listing.filter((c) => c.type === 'timeseries').map((c) => [c.name, c.options]));
    for (const item of listing) {
      if (!selection.includes(db, item.name)) continue;
      if (item.type === 'view') views.push({ db, name: item.name, options: item.options });
      if (item.type === 'collection') {
        const seriesOptions = item.name.startsWith(BUCKETS) ? series.get(item.name.slice(BUCKETS.length)) : undefined;
        const spec = await describeCollection(connection, db, item, seriesOptions);
        if (spec) collections.push(spec);
      }
    }
  }
  return { collections, views };
}

interface ListedCollection {
  readonly name: string;
  readonly type: string;
  readonly options: Buffer;
  readonly uuid: string;
}

/** Lists one database, options raw. */
export async function listDatabase(
  connection: WireConnection,
  db: string,
  filter: Document = {},
): Promise<ListedCollection[]> {
  const docs = await readAll(
    connection,
    commandDoc({ listCollections: 1, filter, cursor: {}, $readPreference: SECONDARY_OK, $db: db }),
    db,
    '$cmd.listCollections',
  );
  return docs.map((doc) => {
    const info = subDocument(doc, 'info');
    const uuidAt = info ? findElement(info, 0, 'uuid') : -1;
    return {
      name: readString(doc, 'name') ?? '',
      type: readString(doc, 'type') ?? 'collection',
      options: subDocument(doc, 'options') ?? EMPTY_DOCUMENT,
      uuid: info && uuidAt >= 0 ? uuidHex(info, valueOffset(info, uuidAt)) : '',
    };
  });
}

/** The present structure of one collection; undefined when no collection of the database has this identity. */
export async function describeByUuid(
  connection: WireConnection,
  db: string,
  uuid: string,
): Promise<CollectionSpec | undefined> {
  const [item] = await listDatabase(connection, db, { 'info.uuid': uuidValue(uuid) });
  if (!item) return undefined;
  const series = item.name.startsWith(BUCKETS)
    ? (await listDatabase(connection, db, { name: item.name.slice(BUCKETS.length) }))[0]?.options
    : undefined;
  return describeCollection(connection, db, item, series);
}

/** The identity that a name has now; undefined when there is no such collection. */
export async function currentUuid(cluster: Cluster, db: string, name: string): Promise<string | undefined> {
  const connection = await cluster.connectPrimary();
  try {
    return (await listDatabase(connection, db, { name }))[0]?.uuid;
  } finally {
    connection.close();
  }
}

async function describeCollection(
  connection: WireConnection,
  db: string,
  item: ListedCollection,
  series: Buffer | undefined,
): Promise<CollectionSpec | undefined> {
  const indexed = series ? item.name.slice(BUCKETS.length) : item.name;
  const indexes = await listIndexes(connection, db, indexed);
  return collectionSpec({ uuid: item.uuid, db, name: item.name, options: item.options, indexes, series });
}

/** Fills in what the options of a collection say of it. */
export function collectionSpec(
  given: Pick<CollectionSpec, 'uuid' | 'db' | 'name' | 'options' | 'indexes' | 'series'>,
): CollectionSpec {
  const { series, ...rest } = given;
  const { options } = given;
  const collation = subDocument(options, 'collation');
  return {
    ...rest,
    capped: readFlag(options, 'capped'),
    clustered: findElement(options, 0, 'clusteredIndex') >= 0,
    ...(series ? { series } : {}),
    collated: collation !== undefined && readString(collation, 'locale') !== 'simple',
  };
}

/** The ready secondary indexes of a collection, raw; none when it is gone. */
export async function listIndexes(connection: WireConnection, db: string, name: string): Promise<Buffer[]> {
  let docs: Buffer[];
  try {
    const command = commandDoc({
      listIndexes: name,
      includeBuildUUIDs: true,
      cursor: {},
      $readPreference: SECONDARY_OK,
      $db: db,
    });
    docs = await readAll(connection, command, db, name);
  } catch (error) {
    if (error instanceof GodwitError && error.details['serverCode'] === 26) return [];
    throw error;
  }
  const ready: Buffer[] = [];
  for (const doc of docs) {
    // With build identities asked for, an index under construction comes wrapped: its commit will be in the log.
    if (findElement(doc, 0, 'buildUUID') >= 0) continue;
    const spec = subDocument(doc, 'spec') ?? doc;
    if (isSecondary(spec)) ready.push(Buffer.from(spec));
  }
  return ready;
}

/** Whether an index is one that has to be made: not the one on `_id`, and not the collection itself. */
export function isSecondary(index: Buffer): boolean {
  const key = subDocument(index, 'key');
  return !readFlag(index, 'clustered') && !(key && isIdKey(key));
}

function isIdKey(key: Buffer): boolean {
  const at = findElement(key, 0, '_id');
  if (at !== 4) return false;
  const isOnly = elementEnd(key, at) === key.length - 1;
  // { _id: 'hashed' } is an ordinary index that happens to be on _id.
  return isOnly && key[at] !== 0x02;
}

export const EMPTY_DOCUMENT = Buffer.from([5, 0, 0, 0, 0]);

/** A sub-document by name, as a slice of its parent; undefined when absent or of another type. */
export function subDocument(doc: Buffer, name: string): Buffer | undefined {
  const at = findElement(doc, 0, name);
  if (at < 0 || (doc[at] !== 0x03 && doc[at] !== 0x04)) return undefined;
  const start = valueOffset(doc, at);
  return doc.subarray(start, start + docLength(doc, start));
}

/** A string by name; undefined when absent or of another type. */
export function readString(doc: Buffer, name: string): string | undefined {
  const at = findElement(doc, 0, name);
  if (at < 0 || doc[at] !== 0x02) return undefined;
  const start = valueOffset(doc, at);
  return doc.toString('utf8', start + 4, start + 4 + doc.readInt32LE(start) - 1);
}

/** Whether a field holds true, or a number that is not zero, as the server reads flags. */
export function readFlag(doc: Buffer, name: string): boolean {
  const at = findElement(doc, 0, name);
  if (at < 0) return false;
  const start = valueOffset(doc, at);
  if (doc[at] === 0x08) return doc[start] === 1;
  if (doc[at] === 0x10) return doc.readInt32LE(start) !== 0;
  if (doc[at] === 0x12) return doc.readBigInt64LE(start) !== 0n;
  if (doc[at] === 0x01) return doc.readDoubleLE(start) !== 0;
  return false;
}

/** A UUID value (binary subtype 4) as hexadecimal digits. */
export function uuidHex(buf: Buffer, start: number): string {
  return buf.toString('hex', start + 5, start + 21);
}
