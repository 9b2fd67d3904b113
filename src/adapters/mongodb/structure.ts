import { type Document, deserialize } from 'bson';
import { GodwitError } from '../../kernel/errors.ts';
import { BsonBuilder } from './bson/builder.ts';
import { docLength, elementEnd, findElement, valueOffset, walk } from './bson/walk.ts';
import { type CollectionSpec, listDatabase, readFlag, readString, subDocument } from './catalog.ts';
import { fromServerReply, serverCodeOf } from './errors.ts';
import type { WireConnection } from './wire/connection.ts';

/** A TTL index must not delete on the target before the cutover: this value never expires anything. */
export const NEVER_EXPIRES = 2_147_483_647;

/** Options of `listCollections` that `create` does not take, or that must wait for the cutover. */
const NOT_CREATED = new Set(['uuid', 'autoIndexId', 'idIndex', 'temp', 'flags']);

const NAMESPACE_EXISTS = 48;
const NAMESPACE_NOT_FOUND = 26;
const INDEX_NOT_FOUND = 27;
const INDEX_CONFLICTS = new Set([85, 86]);

interface Name {
  readonly db: string;
  readonly collection: string;
}

/** Sends a command built from raw parts; gives the decoded reply or throws the translated error. */
export async function runRaw(connection: WireConnection, body: Buffer): Promise<Document> {
  const reply = await connection.request(body);
  try {
    return decodeReply(reply.body);
  } finally {
    reply.release();
  }
}

function decodeReply(body: Buffer): Document {
  const at = findElement(body, 0, 'ok');
  const ok = at >= 0 && readFlag(body, 'ok');
  const doc = deserializeLoosely(body);
  if (!ok) throw fromServerReply(doc, 'changing the structure of the target');
  return doc;
}

/** Creates a collection with exactly the options of its specification. Existing already is success. */
export async function createCollection(connection: WireConnection, name: Name, spec: CollectionSpec): Promise<void> {
  const series = spec.series;
  const collection = series ? name.collection.replace(/^system\.buckets\./, '') : name.collection;
  await createWithOptions(connection, { db: name.db, collection }, series ?? spec.options);
}

/** Creates a collection or view from raw options. Existing already is success. */
export async function createWithOptions(connection: WireConnection, name: Name, options: Buffer): Promise<void> {
  const command = new BsonBuilder();
  command.begin();
  command.appendString('create', name.collection);
  walk(options, 0, (type, nameStart, nameEnd, valueStart, valueEnd) => {
    const option = options.toString('utf8', nameStart, nameEnd);
    if (NOT_CREATED.has(option)) return;
    if (option === 'expireAfterSeconds') return;
    if (option === 'clusteredIndex' && type === 0x08) return;
    command.appendElement(type, option, options, valueStart, valueEnd);
  });
  command.appendString('$db', name.db);
  command.end();
  const body = Buffer.from(command.finish());
  for (let attempt = 0; ; attempt += 1) {
    try {
      await runRaw(connection, body);
      return;
    } catch (error) {
      if (serverCodeOf(error) !== NAMESPACE_EXISTS) throw structureError(error, `create ${name.db}.${name.collection}`);
      // Views follow the source in their own time: one that is in the way is gone there already.
      const [there] = await listDatabase(connection, name.db, { name: name.collection });
      const isView = there?.type === 'view' && findElement(options, 0, 'viewOn') < 0;
      if (!isView || attempt > 2) return;
      await dropCollection(connection, name);
    }
  }
}

/** How an index differs on the target until the cutover. */
export interface IndexDeferral {
  /** The index is created without `unique` and made unique at the cutover. */
  readonly unique: boolean;
  /** The index is created inert and given its real time to live at the cutover. */
  readonly ttl: boolean;
}

/** What must wait for the cutover, given a raw index specification. */
export function deferralOf(spec: Buffer): IndexDeferral {
  return { unique: readFlag(spec, 'unique'), ttl: findElement(spec, 0, 'expireAfterSeconds') >= 0 };
}

/**
 * The specification as it is created before the cutover: not unique, because
 * the log is applied out of order between documents, and never expiring.
 */
export function deferredIndex(spec: Buffer): Buffer {
  const out = new BsonBuilder();
  out.begin();
  copyIndex(out, spec, true);
  out.end();
  return Buffer.from(out.finish());
}

function copyIndex(out: BsonBuilder, spec: Buffer, deferred: boolean): void {
  walk(spec, 0, (type, nameStart, nameEnd, valueStart, valueEnd) => {
    const option = spec.toString('utf8', nameStart, nameEnd);
    if (option === 'ns' || option === 'background' || option === 'buildUUID') return;
    if (deferred && (option === 'unique' || option === 'prepareUnique')) return;
    if (deferred && option === 'expireAfterSeconds') out.appendInt32(option, NEVER_EXPIRES);
    else out.appendElement(type, option, spec, valueStart, valueEnd);
  });
}

/** A signature of what makes two indexes the same to the server, apart from `unique`. */
export function indexSignature(spec: Buffer): string {
  const parts: string[] = [];
  for (const option of ['key', 'collation', 'partialFilterExpression', 'sparse', 'wildcardProjection']) {
    const at = findElement(spec, 0, option);
    parts.push(at < 0 ? '-' : spec.toString('latin1', valueOffset(spec, at), elementEnd(spec, at)));
  }
  return parts.join('|');
}

/**
 * Splits a collection's indexes into those that can be made now and unique
 * ones that must wait whole: stripped of `unique` they would be the same index
 * as another one on the same keys.
 */
export function splitIndexes(specs: readonly Buffer[]): { now: Buffer[]; later: Buffer[] } {
  const now: Buffer[] = [];
  const later: Buffer[] = [];
  const taken = new Set<string>();
  const plainFirst = [...specs].sort((a, b) => Number(deferralOf(a).unique) - Number(deferralOf(b).unique));
  for (const spec of plainFirst) {
    const signature = indexSignature(spec);
    if (taken.has(signature)) later.push(spec);
    else now.push(spec);
    taken.add(signature);
  }
  return { now, later };
}

/** Builds indexes in one command; those that exist already are left. */
export async function createIndexes(
  connection: WireConnection,
  name: Name,
  specs: readonly Buffer[],
  options: { deferred: boolean; raw?: boolean },
): Promise<void> {
  if (specs.length === 0) return;
  // The log speaks of a time series' buckets (`raw`), the catalog of the series.
  const collection = options.raw ? name.collection : name.collection.replace(/^system\.buckets\./, '');
  const command = new BsonBuilder();
  command.begin();
  command.appendString('createIndexes', collection);
  command.startArray('indexes');
  specs.forEach((spec, i) => {
    command.startDocument(i);
    copyIndex(command, spec, options.deferred);
    command.end();
  });
  command.end();
  // Every voting member must have finished the build, so that a fail-over finds the index there.
  command.appendString('commitQuorum', 'votingMembers');
  command.appendString('$db', name.db);
  command.end();
  try {
    await runRaw(connection, command.finish());
  } catch (error) {
    const code = serverCodeOf(error);
    if (code !== undefined && INDEX_CONFLICTS.has(code) && specs.length > 1) {
      for (const spec of specs) await createIndexes(connection, name, [spec], options);
      return;
    }
    throw structureError(error, `create indexes on ${name.db}.${name.collection}`);
  }
}

/** Drops a collection; being gone already is success. */
export async function dropCollection(connection: WireConnection, name: Name): Promise<void> {
  const collection = name.collection.replace(/^system\.buckets\./, '');
  await runStructure(connection, { drop: collection, $db: name.db, writeConcern: { w: 'majority' } }, [
    NAMESPACE_NOT_FOUND,
  ]);
}

/** Drops an index by name; being gone already is success. */
export async function dropIndex(connection: WireConnection, name: Name, index: string): Promise<void> {
  const collection = name.collection.replace(/^system\.buckets\./, '');
  await runStructure(connection, { dropIndexes: collection, index, $db: name.db }, [
    NAMESPACE_NOT_FOUND,
    INDEX_NOT_FOUND,
  ]);
}

/** Runs a command whose listed error codes mean that it holds already. */
export async function runStructure(
  connection: WireConnection,
  command: Document & { readonly $db: string },
  alreadyCodes: readonly number[],
): Promise<Document | undefined> {
  try {
    return await connection.run(command);
  } catch (error) {
    const code = serverCodeOf(error);
    if (code !== undefined && alreadyCodes.includes(code)) return undefined;
    throw structureError(error, `${Object.keys(command)[0]} ${String(Object.values(command)[0])} in ${command['$db']}`);
  }
}

/** What the server refused of a change of structure becomes GW5002; passing faults stay what they are. */
export function structureError(error: unknown, what: string): unknown {
  if (!(error instanceof GodwitError) || error.code !== 'GW5001') return error;
  return new GodwitError('GW5002', `The target refused to ${what}: ${error.message}`, {
    details: error.details,
    cause: error,
  });
}

/** Name of an index. */
export function indexName(spec: Buffer): string {
  return readString(spec, 'name') ?? '';
}

/** The key pattern of an index, raw. */
export function indexKey(spec: Buffer): Buffer {
  const key = subDocument(spec, 'key');
  if (!key) throw new GodwitError('GW9001', 'An index specification has no key');
  return key;
}

/** The raw value of an option of an index, with its type; undefined when absent. */
export function indexOption(spec: Buffer, name: string): { type: number; value: Buffer } | undefined {
  const at = findElement(spec, 0, name);
  if (at < 0) return undefined;
  return { type: spec[at] as number, value: spec.subarray(valueOffset(spec, at), elementEnd(spec, at)) };
}

function deserializeLoosely(body: Buffer): Document {
  return deserialize(body.subarray(0, docLength(body, 0)), { promoteLongs: true, validation: { utf8: false } });
}
