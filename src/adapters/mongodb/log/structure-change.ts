import { GodwitError } from '../../../kernel/errors.ts';
import { POSITION_ZERO } from '../../../kernel/position.ts';
import { BsonBuilder } from '../bson/builder.ts';
import { cstringEnd, docLength, elementEnd, findElement, valueOffset, walk } from '../bson/walk.ts';
import {
  type CollectionSpec,
  listDatabase,
  listIndexes,
  readFlag,
  readString,
  subDocument,
  uuidHex,
} from '../catalog.ts';
import type { Selection } from '../namespaces.ts';
import {
  createCollection,
  createIndexes,
  deferralOf,
  dropCollection,
  dropIndex,
  indexName,
  indexSignature,
  NEVER_EXPIRES,
  runRaw,
  runStructure,
  splitIndexes,
  structureError,
} from '../structure.ts';
import type { WireConnection } from '../wire/connection.ts';
import { type LogEntry, namespaceText } from './entry.ts';
import { type TrackedCollection, type TrackedCollections, trackedOf } from './tracked.ts';

const BUCKETS = 'system.buckets.';
const NAMESPACE_NOT_FOUND = 26;

export interface StructureContext {
  readonly target: WireConnection;
  readonly tracked: TrackedCollections;
  readonly selection: Selection;
  /** Copies a collection that was renamed into the chosen namespaces, as it is now. */
  readonly adopt: (uuid: string, db: string, name: string) => Promise<TrackedCollection>;
}

/** What to do with a command of the log. */
export type CommandMeaning = 'ignore' | 'structure' | 'transaction' | 'commit' | 'abort' | 'unknown';

const STRUCTURE = new Set([
  'create',
  'drop',
  'renameCollection',
  'createIndexes',
  'commitIndexBuild',
  'dropIndexes',
  'deleteIndexes',
  'dropIndex',
  'deleteIndex',
  'collMod',
  'dropDatabase',
]);
/** A build under way shows on the target only once it is committed. */
const IGNORED = new Set(['startIndexBuild', 'abortIndexBuild']);

/** First field of a log command: its name. */
export function commandName(entry: LogEntry): string {
  const start = entry.o + 5;
  return entry.buf.toString('utf8', start, cstringEnd(entry.buf, start));
}

/** Sorts a command entry. */
export function meaningOf(name: string): CommandMeaning {
  if (name === 'applyOps') return 'transaction';
  if (name === 'commitTransaction') return 'commit';
  if (name === 'abortTransaction') return 'abort';
  if (STRUCTURE.has(name)) return 'structure';
  return IGNORED.has(name) ? 'ignore' : 'unknown';
}

/**
 * Whether a command concerns the chosen namespaces at all; the filter of the
 * log is by database and lets others through.
 */
export function concernsUs(
  entry: LogEntry,
  name: string,
  context: Pick<StructureContext, 'tracked' | 'selection'>,
): boolean {
  const { tracked, selection } = context;
  if (entry.uuidStart >= 0 && tracked.at(entry.buf, entry.uuidStart)) return true;
  const db = databaseOf(entry);
  if (name === 'dropDatabase') return selection.touchesDatabase(db);
  const o = documentOf(entry);
  if (name === 'renameCollection') {
    const to = splitNamespace(readString(o, 'to') ?? '');
    return selection.includes(to.db, to.collection);
  }
  return selection.includes(db, readString(o, name) ?? '');
}

/**
 * Carries a change of structure out on the target and in what we track.
 * Every one may be met again after a crash: what holds already is success.
 */
export async function carryOut(entry: LogEntry, name: string, context: StructureContext): Promise<void> {
  const db = databaseOf(entry);
  const o = documentOf(entry);
  const tracked = entry.uuidStart >= 0 ? context.tracked.at(entry.buf, entry.uuidStart) : undefined;
  switch (name) {
    case 'create':
      return create(entry, db, o, context);
    case 'drop':
      if (!tracked) return;
      if (!tracked.ghost) await dropCollection(context.target, tracked.target);
      context.tracked.remove(tracked.uuid);
      return;
    case 'renameCollection':
      return rename(entry, o, tracked, context);
    case 'createIndexes':
      return tracked && !tracked.ghost ? buildIndexes([indexOfCreate(o)], tracked, context) : undefined;
    case 'commitIndexBuild':
      return tracked && !tracked.ghost ? buildIndexes(arrayOf(o, 'indexes'), tracked, context) : undefined;
    case 'dropIndexes':
    case 'deleteIndexes':
    case 'dropIndex':
    case 'deleteIndex':
      if (!tracked || tracked.ghost) return;
      return dropIndex(context.target, tracked.target, requireString(o, 'index', entry));
    case 'collMod':
      return tracked && !tracked.ghost ? modify(o, tracked, context) : undefined;
    case 'dropDatabase':
      // The log has a drop for every collection of it before this entry.
      return dropEmptyDatabase(context.target, context.selection.target(db, 'x').db);
  }
  throw unknownCommand(entry, name);
}

/**
 * A database without collections still holds its name, and no other may differ from it in case only. Its views
 * are made again from the source's when they are looked at next.
 */
export async function dropEmptyDatabase(target: WireConnection, db: string): Promise<void> {
  const left = await listDatabase(target, db);
  if (!left.every((item) => item.type === 'view' || item.name === 'system.views')) return;
  await runStructure(target, { dropDatabase: 1, $db: db }, [NAMESPACE_NOT_FOUND]);
}

/** The refusal of an entry that cannot be carried. */
export function unknownCommand(entry: LogEntry, name: string): GodwitError {
  return new GodwitError(
    'GW5003',
    `The log holds the command ${name} on ${namespaceText(entry)}, which cannot be carried`,
    {
      details: { command: name, namespace: namespaceText(entry), position: entry.ts ?? '' },
    },
  );
}

async function create(entry: LogEntry, db: string, o: Buffer, context: StructureContext): Promise<void> {
  const name = requireString(o, 'create', entry);
  // A view has no identity; views are reconciled as a whole when system.views changes.
  if (entry.uuidStart < 0 || !context.selection.includes(db, name)) return;
  const uuid = entry.buf.toString('hex', entry.uuidStart, entry.uuidStart + 16);
  const options = withoutFields(o, new Set(['create', 'idIndex']));
  const collation = subDocument(options, 'collation');
  const spec: CollectionSpec = {
    uuid,
    db,
    name,
    options,
    indexes: [],
    capped: readFlag(options, 'capped'),
    clustered: findElement(options, 0, 'clusteredIndex') >= 0,
    ...(name.startsWith(BUCKETS) ? { series: seriesOptions(options) } : {}),
    collated: collation !== undefined && readString(collation, 'locale') !== 'simple',
  };
  const target = context.selection.target(db, name);
  await createCollection(context.target, target, spec);
  // Nothing of it is in any copy; what a transaction inserts with it has the same position.
  context.tracked.add(trackedOf(spec, target, POSITION_ZERO));
}

/** What `create` of a time series takes, out of the options of its bucket collection. */
function seriesOptions(options: Buffer): Buffer {
  const out = new BsonBuilder(512).begin();
  for (const field of ['timeseries', 'expireAfterSeconds', 'collation', 'storageEngine']) {
    const at = findElement(options, 0, field);
    if (at >= 0)
      out.appendElement(options[at] as number, field, options, valueOffset(options, at), elementEnd(options, at));
  }
  return Buffer.from(out.end().finish());
}

async function rename(
  entry: LogEntry,
  o: Buffer,
  tracked: TrackedCollection | undefined,
  context: StructureContext,
): Promise<void> {
  const to = splitNamespace(requireString(o, 'to', entry));
  const chosen = context.selection.includes(to.db, to.collection);
  const replaced = replacedUuid(o);
  const target = context.selection.target(to.db, to.collection);
  if (!chosen) {
    // It leaves the chosen namespaces, and so the target.
    if (tracked && !tracked.ghost) await dropCollection(context.target, tracked.target);
    if (tracked) context.tracked.remove(tracked.uuid);
    return;
  }
  if (!tracked || tracked.ghost) {
    if (replaced) await dropReplaced(replaced, context);
    if (tracked) {
      tracked.source = { db: to.db, name: to.collection };
      tracked.target = target;
      return;
    }
    const uuid = entry.buf.toString('hex', entry.uuidStart, entry.uuidStart + 16);
    context.tracked.add(await context.adopt(uuid, to.db, to.collection));
    return;
  }
  if (replaced) context.tracked.remove(replaced);
  const from = tracked.target;
  if (from.db !== target.db || from.collection !== target.collection) {
    await runStructure(
      context.target,
      {
        renameCollection: `${from.db}.${from.collection}`,
        to: `${target.db}.${target.collection}`,
        dropTarget: true,
        $db: 'admin',
      },
      [NAMESPACE_NOT_FOUND],
    );
  }
  tracked.source = { db: to.db, name: to.collection };
  tracked.target = target;
}

async function dropReplaced(uuid: string, context: StructureContext): Promise<void> {
  const replaced = context.tracked.get(uuid);
  if (!replaced) return;
  if (!replaced.ghost) await dropCollection(context.target, replaced.target);
  context.tracked.remove(uuid);
}

function replacedUuid(o: Buffer): string | undefined {
  const at = findElement(o, 0, 'dropTarget');
  return at >= 0 && o[at] === 0x05 ? uuidHex(o, valueOffset(o, at)) : undefined;
}

async function buildIndexes(
  specs: readonly Buffer[],
  tracked: TrackedCollection,
  context: StructureContext,
): Promise<void> {
  // A unique index that would coincide with another one is left for the cutover.
  const { now } = splitIndexes(specs);
  const present = await listIndexes(context.target, tracked.target.db, tracked.target.collection);
  const wanted: Buffer[] = [];
  for (const spec of now) {
    const twin = present.find(
      (other) => indexName(other) !== indexName(spec) && indexSignature(other) === indexSignature(spec),
    );
    // Both are plain for now, which no server takes: the one that is plain for good stays.
    if (twin && deferralOf(spec).unique) continue;
    if (twin) await dropIndex(context.target, tracked.target, indexName(twin));
    wanted.push(spec);
  }
  await createIndexes(context.target, tracked.target, wanted, { deferred: true, raw: true });
}

/** The specification inside a single-index `createIndexes` entry: every field but the command itself. */
function indexOfCreate(o: Buffer): Buffer {
  return withoutFields(o, new Set(['createIndexes']));
}

/** Index expiry and uniqueness wait for the cutover; everything else of a collMod holds at once. */
async function modify(o: Buffer, tracked: TrackedCollection, context: StructureContext): Promise<void> {
  const command = new BsonBuilder(1024).begin();
  const collection = tracked.target.collection.replace(/^system\.buckets\./, '');
  command.appendString('collMod', collection);
  let fields = 0;
  walk(o, 0, (type, nameStart, nameEnd, valueStart, valueEnd) => {
    const field = o.toString('utf8', nameStart, nameEnd);
    if (field === 'collMod' || field === 'expireAfterSeconds') return;
    if (field === 'index') {
      const index = o.subarray(valueStart, valueEnd);
      const expires = findElement(index, 0, 'expireAfterSeconds') >= 0;
      if (findElement(index, 0, 'hidden') < 0 && !expires) return;
      command.startDocument('index');
      for (const key of ['name', 'keyPattern', 'hidden']) {
        const at = findElement(index, 0, key);
        if (at >= 0)
          command.appendElement(index[at] as number, key, index, valueOffset(index, at), elementEnd(index, at));
      }
      // It may be a plain index that begins to expire.
      if (expires) command.appendInt32('expireAfterSeconds', NEVER_EXPIRES);
      command.end();
    } else command.appendElement(type, field, o, valueStart, valueEnd);
    fields += 1;
  });
  if (fields === 0) return;
  command.appendString('$db', tracked.target.db).end();
  try {
    await runRaw(context.target, command.finish());
  } catch (error) {
    throw structureError(error, `collMod ${tracked.target.db}.${collection}`);
  }
}

function arrayOf(o: Buffer, name: string): Buffer[] {
  const array = subDocument(o, name);
  const specs: Buffer[] = [];
  if (array)
    walk(
      array,
      0,
      (_type, _nameStart, _nameEnd, start) => void specs.push(array.subarray(start, start + docLength(array, start))),
    );
  return specs;
}

function withoutFields(doc: Buffer, names: ReadonlySet<string>): Buffer {
  const out = new BsonBuilder(512).begin();
  walk(doc, 0, (type, nameStart, nameEnd, valueStart, valueEnd) => {
    if (names.has(doc.toString('utf8', nameStart, nameEnd))) return;
    out.appendElement(type, doc.subarray(nameStart, nameEnd), doc, valueStart, valueEnd);
  });
  return Buffer.from(out.end().finish());
}

function requireString(o: Buffer, field: string, entry: LogEntry): string {
  const value = readString(o, field);
  if (value === undefined) {
    throw new GodwitError('GW5003', `A log command on ${namespaceText(entry)} has no ${field}`, {
      details: { namespace: namespaceText(entry), position: entry.ts ?? '' },
    });
  }
  return value;
}

function documentOf(entry: LogEntry): Buffer {
  return entry.buf.subarray(entry.o, entry.oEnd);
}

/** Database of an entry's namespace. */
export function databaseOf(entry: LogEntry): string {
  const ns = namespaceText(entry);
  return ns.slice(0, ns.indexOf('.'));
}

/** Splits `db.collection`. */
export function splitNamespace(ns: string): { db: string; collection: string } {
  const dot = ns.indexOf('.');
  return { db: ns.slice(0, dot), collection: ns.slice(dot + 1) };
}
