import type { Db, MongoClient } from 'mongodb';
import { documentsIn, elementOf, elementsOf, fingerprint, type RawElement } from './raw-bson.ts';

/** What one cluster says about one collection or view, as text that compares and as flags that steer reading. */
export interface CollectionFacts {
  readonly db: string;
  readonly name: string;
  readonly capped: boolean;
  readonly isView: boolean;
  /** Facts by name, e.g. `type`, `option validator`, `index a_1: unique`; equal texts are equal facts. */
  readonly facts: ReadonlyMap<string, string>;
}

const BUCKETS = 'system.buckets.';
const SERVER_DATABASES = new Set(['admin', 'config', 'local']);
/** Kept by the server itself: views are compared as views, profiles are no data. */
const SERVER_COLLECTIONS = new Set(['system.views', 'system.profile']);

/** The name under which a business knows the collection: a time series' buckets go by its own name. */
export function plainName(collection: string): string {
  return collection.startsWith(BUCKETS) ? collection.slice(BUCKETS.length) : collection;
}

/** Every collection and view of the chosen namespaces, by `db.collection`. */
export async function readCatalog(
  client: MongoClient,
  include: (db: string, collection: string) => boolean,
): Promise<Map<string, CollectionFacts>> {
  const found = new Map<string, CollectionFacts>();
  const { databases } = await client.db('admin').admin().listDatabases({ nameOnly: true });
  for (const { name: dbName } of databases) {
    if (SERVER_DATABASES.has(dbName)) continue;
    const db = client.db(dbName);
    const specs = await rawCursor(db, { listCollections: 1, cursor: { batchSize: 10_000 } });
    for (const spec of specs) {
      const name = text(elementOf(spec, 'name'));
      if (SERVER_COLLECTIONS.has(name) || !include(dbName, plainName(name))) continue;
      found.set(`${dbName}.${name}`, await readFacts(db, name, spec));
    }
  }
  return found;
}

async function readFacts(db: Db, name: string, spec: Buffer): Promise<CollectionFacts> {
  const facts = new Map<string, string>();
  const type = text(elementOf(spec, 'type'));
  facts.set('type', type);
  const options = elementOf(spec, 'options')?.value ?? Buffer.alloc(0);
  // Raw and in order: the server writes them in an order of its own, so a difference is one of content.
  for (const option of options.length === 0 ? [] : elementsOf(options)) {
    facts.set(`option ${option.name}`, fingerprint(option));
  }
  // Of `info` only `readOnly` is compared: its UUID is each cluster's own.
  const info = elementOf(spec, 'info')?.value;
  facts.set('readOnly', info === undefined ? '' : fingerprint(elementOf(info, 'readOnly')));
  const isView = type === 'view';
  // A time series has the indexes of its buckets under another name; they are read there.
  if (type === 'collection') await readIndexes(db, name, facts);
  const capped = options.length > 0 && elementOf(options, 'capped')?.value[0] === 1;
  return { db: db.databaseName, name, capped, isView: isView || type === 'timeseries', facts };
}

async function readIndexes(db: Db, name: string, facts: Map<string, string>): Promise<void> {
  for (const spec of await rawCursor(db, { listIndexes: name, cursor: { batchSize: 10_000 } })) {
    const index = text(elementOf(spec, 'name'));
    facts.set(`index ${index}`, 'exists');
    for (const field of elementsOf(spec)) {
      // `ns` repeats the namespace (old servers only). The order of the top-level fields is no meaning
      // of the index: collMod moves the field it changes to the end.
      if (field.name === 'ns' || field.name === 'name') continue;
      facts.set(
        `index ${index}: ${field.name}`,
        field.name === 'expireAfterSeconds' ? seconds(field) : fingerprint(field),
      );
    }
  }
}

/** By value: collMod stores an int64 whatever type it was given, so the type tells only how the value got there. */
function seconds(field: RawElement): string {
  if (field.type === 0x10) return String(field.value.readInt32LE(0));
  if (field.type === 0x12) return String(field.value.readBigInt64LE(0));
  if (field.type === 0x01) return String(field.value.readDoubleLE(0));
  return fingerprint(field);
}

/** The documents of a command's first batch, which is made large enough to hold all. */
async function rawCursor(db: Db, command: Record<string, unknown>): Promise<Buffer[]> {
  // With `raw` the driver decodes the reply itself and leaves what is nested in it as bytes.
  const { cursor } = await db.command(command, { raw: true });
  const bytes = Buffer.from(cursor as Uint8Array);
  const batch = elementOf(bytes, 'firstBatch');
  if (batch === undefined) throw new Error(`no cursor in the reply to ${Object.keys(command)[0]}`);
  if (elementOf(bytes, 'id')?.value.readBigInt64LE(0) !== 0n) throw new Error('a catalog did not fit one reply');
  return documentsIn(batch.value);
}

/** A BSON string's text. */
function text(element: RawElement | undefined): string {
  return element === undefined ? '' : element.value.toString('utf8', 4, element.value.length - 1);
}
