import type { CreateIndexesOptions, Db, Document, IndexSpecification } from 'mongodb';
import { GodwitError } from '../../../kernel/errors.ts';
import type { Model } from '../../../kernel/remodel/index.ts';
import { serverCodeOf } from '../errors.ts';
import { type ControlDocument, controls, findControl, LEASE_KEPT_S, writeAudit } from './control.ts';
import { documentsOf } from './documents.ts';
import { startGuard } from './guard.ts';
import { oldCollection } from './identity-view.ts';
import { CONTROL, idsOf } from './names.ts';
import type { Room } from './relay.ts';
import type { TableDocuments } from './table-documents.ts';
import { storeError, transact } from './transactions.ts';

interface IndexOf {
  readonly collection: string;
  readonly key: IndexSpecification & Document;
  readonly options: CreateIndexesOptions;
}

const NAMESPACE_EXISTS = 48;
/** A lock that nothing waits behind is kept this long. */
const IDLE_LOCK_S = 60;
const RUNG_KEPT_S = 3600;

const CONTROL_INDEXES: readonly IndexOf[] = [
  { collection: CONTROL.outbox, key: { idle: 1 }, options: { expireAfterSeconds: IDLE_LOCK_S } },
  {
    collection: CONTROL.outbox,
    key: { remodel: 1, at: 1 },
    options: { partialFilterExpression: { at: { $exists: true } } },
  },
  { collection: CONTROL.rung, key: { rung: 1 }, options: { expireAfterSeconds: RUNG_KEPT_S } },
  { collection: CONTROL.lease, key: { seen: 1 }, options: { expireAfterSeconds: LEASE_KEPT_S } },
];

/** Indexes that the new collections need: one document for each key, or for each key and id. */
function modelIndexes(model: Model): IndexOf[] {
  return Object.values(documentsOf(model).new).flatMap((table): IndexOf[] => {
    const { name: collection, keyPath, idPath } = table;
    if (idPath === undefined) return keyPath === '_id' ? [] : [{ collection, key: { [keyPath]: 1 }, options: unique }];
    return [{ collection, key: { [keyPath]: 1, [idPath]: 1 }, options: unique }];
  });
}

const unique: CreateIndexesOptions = { unique: true };

/** What `create` does, as commands of the shell. */
export function planOf(model: Model): readonly string[] {
  const quote = (value: unknown) => JSON.stringify(value);
  const collections = [...Object.values(CONTROL), ...Object.values(model.to).map(({ name }) => name)];
  return [
    ...collections.map((name) => `db.createCollection(${quote(name)})`),
    ...[...CONTROL_INDEXES, ...modelIndexes(model)].map(
      ({ collection, key, options }) =>
        `db.getCollection(${quote(collection)}).createIndex(${quote(key)}, ${quote(options)})`,
    ),
    `db.getCollection(${quote(CONTROL.remodel)}).insertOne({ _id: ${quote(model.name)}, phase: "created", … })`,
  ];
}

/** See `RemodelStore.create`. */
export async function createRemodel({ client, db }: Room, model: Model, definition: string): Promise<void> {
  try {
    const before = await findControl(db, model);
    if (before !== undefined && before.definition !== definition)
      throw new GodwitError('GW7008', `The remodel ${model.name} was created with another definition`);
    await checkCollections(db, model, before);
    for (const name of Object.values(CONTROL)) await makeCollection(db, name);
    const made: string[] = [];
    for (const { name } of Object.values(model.to)) if (await makeCollection(db, name)) made.push(name);
    for (const { collection, key, options } of [...CONTROL_INDEXES, ...modelIndexes(model)])
      await db.collection(collection).createIndex(key, options);
    await startGuard({ client, db }, model);
    if (before !== undefined) return;
    await transact(client, `creating ${model.name}`, async (session) => {
      const control: Omit<ControlDocument, '_id' | 'changedAt'> = {
        phase: 'created',
        epoch: 1,
        ramp: 0,
        reads: 0,
        shadow: 0,
        guard: 'capture',
        definition,
        isTrapped: false,
        made,
      };
      const update = { $setOnInsert: control, $currentDate: { changedAt: true as const } };
      await controls(db).updateOne({ _id: model.name }, update, { session, upsert: true });
      await writeAudit(db, model, 1, 'created', {}, session);
    });
  } catch (error) {
    throw storeError(error, `creating ${model.name}`);
  }
}

/** Gives whether it was not there before. */
async function makeCollection(db: Db, name: string): Promise<boolean> {
  try {
    await db.createCollection(name);
    return true;
  } catch (error) {
    if (serverCodeOf(error) !== NAMESPACE_EXISTS) throw error;
    return false;
  }
}

/** What the collections must be for keys to mean the same everywhere. @throws GodwitError GW1006 */
async function checkCollections(db: Db, model: Model, control: ControlDocument | undefined): Promise<void> {
  const documents = documentsOf(model);
  const wrong = (what: string) => new GodwitError('GW1006', `Remodel ${model.name}: ${what}`);
  const old = oldCollection(db, documents, control ?? { isTrapped: false }).collectionName;
  const found = await db.listCollections({}, { nameOnly: false }).toArray();
  for (const name of [old, ...Object.values(model.to).map((table) => table.name)]) {
    const spec = found.find((each) => each.name === name) as Document | undefined;
    if (spec === undefined && name !== old) continue;
    if (spec === undefined) throw wrong(`there is no collection ${name}`);
    if (spec['type'] !== 'collection') throw wrong(`${name} is a ${spec['type']}, not a plain collection`);
    if (spec['options']?.collation !== undefined)
      throw wrong(`${name} has a default collation, under which keys that differ may be the same`);
    if (name === old) await checkOld(db, documents.old, spec, wrong);
  }
}

async function checkOld(
  db: Db,
  old: TableDocuments,
  spec: Document,
  wrong: (what: string) => GodwitError,
): Promise<void> {
  if (old.keyPath === '_id') return;
  const indexes = await db.collection(String(spec['name'])).indexes();
  const isUnique = ({ key, unique: is, partialFilterExpression: partial }: Document) =>
    is === true && partial === undefined && Object.keys(key).length === 1 && key[old.keyPath] === 1;
  if (!indexes.some(isUnique))
    throw wrong(`${old.name} has no ascending unique index on ${old.keyPath} alone, the key`);
  if (spec['options']?.changeStreamPreAndPostImages?.enabled !== true)
    throw wrong(
      `the key of ${old.name} is ${old.keyPath}, not _id: a change stream then tells whose document was deleted only with changeStreamPreAndPostImages; switch them on with collMod`,
    );
}

/** See `RemodelStore.drop`: what `create` made, and nothing that was there before. */
export async function dropRemodel({ db }: Room, model: Model): Promise<void> {
  const control = await findControl(db, model);
  if (control === undefined) return;
  try {
    const { root } = documentsOf(model);
    const isOwned = (await db.collection(root.name).countDocuments({}, { limit: 1 })) > 0;
    const isBuried =
      (await db.collection<{ _id: string }>(CONTROL.tombstone).countDocuments({ _id: idsOf(model) }, { limit: 1 })) > 0;
    if (control.phase !== 'created' || isOwned || isBuried)
      throw new GodwitError(
        'GW1004',
        `Remodel ${model.name} can be dropped in phase created with nothing owned; it is in ${control.phase}`,
      );
    for (const name of control.made) await db.collection(name).drop();
    await forget(db, model);
    await controls(db).deleteOne({ _id: model.name });
  } catch (error) {
    throw storeError(error, `dropping ${model.name}`);
  }
}

/** Deletes what the control collections have of identities and processes; control and history stay. */
export async function forget(db: Db, model: Model): Promise<void> {
  const ids = { _id: idsOf(model) };
  for (const name of [
    CONTROL.outbox,
    CONTROL.rung,
    CONTROL.tombstone,
    CONTROL.dirty,
    CONTROL.quarantine,
    CONTROL.lease,
    CONTROL.shadow,
  ])
    await db.collection<{ _id: string }>(name).deleteMany(ids);
  await db.collection<{ _id: string }>(CONTROL.guard).deleteOne({ _id: model.name });
}
