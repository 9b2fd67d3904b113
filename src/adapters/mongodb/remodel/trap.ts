import type { Document } from 'mongodb';
import { GodwitError } from '../../../kernel/errors.ts';
import type { Model } from '../../../kernel/remodel/index.ts';
import { serverCodeOf } from '../errors.ts';
import { type ControlDocument, controls, findControl } from './control.ts';
import { forget } from './create.ts';
import { documentsOf } from './documents.ts';
import { notCreated } from './identity-view.ts';
import { retiredName } from './names.ts';
import type { Room } from './relay.ts';
import { storeError } from './transactions.ts';

const NAMESPACE_NOT_FOUND = 26;
const PROFILE_SLOW_OFF = 0;

/**
 * `record`: the server's profiler writes down who reads the old collection.
 * `refuse`: the collection is renamed, and a view in its place fails every
 * read with words that say why; writes of a view fail by themselves. Those who
 * are refused are written down where the profiler may be used.
 *
 * The profiler is the database's only one, and each server's own: it is used
 * only where it is off, and sees reads of the primary, not those of secondaries.
 * @throws GodwitError GW1004 when it is in use; GW2004 when it may not be.
 */
export async function setTrap(room: Room, model: Model, mode: 'record' | 'refuse'): Promise<void> {
  const control = await controlOf(room, model);
  try {
    if (mode === 'record') {
      if (control.isTrapped) await takeBack(room, model);
      await profile(room, model);
      return;
    }
    await profile(room, model).catch((error: unknown) => {
      if (!(error instanceof GodwitError)) throw error; // refusing works without it
    });
    await putAway(room, model);
  } catch (error) {
    throw storeError(error, `trapping readers of ${model.from.name}`);
  }
}

export async function unsetTrap(room: Room, model: Model): Promise<void> {
  const control = await controlOf(room, model);
  try {
    await stopProfiling(room, model);
    if (control.isTrapped) await takeBack(room, model);
  } catch (error) {
    throw storeError(error, `giving readers ${model.from.name} back`);
  }
}

/** The latest first. What the profiler has had to forget (it keeps 1 MB) is not among them. */
export async function readHits(
  { db }: Room,
  model: Model,
): Promise<readonly { readonly at: string; readonly who: string; readonly query: string }[]> {
  try {
    const found = await db
      .collection('system.profile')
      .find(profiledReads(db.databaseName, model))
      .sort({ ts: -1 })
      .limit(1_000)
      .toArray();
    return found.map((hit) => ({
      at: (hit['ts'] as Date).toISOString(),
      who: [hit['user'], hit['appName'], hit['client']].filter((part) => part !== undefined && part !== '').join(' '),
      query: String(Object.keys((hit['command'] as Document | undefined) ?? {})[0] ?? hit['op']),
    }));
  } catch (error) {
    throw storeError(error, `reading who read ${model.from.name}`);
  }
}

/** See `RemodelStore.retire`. Each step may be repeated after a crash. */
export async function retireOld(room: Room, model: Model): Promise<void> {
  const { db } = room;
  const control = await controlOf(room, model);
  try {
    await stopProfiling(room, model);
    if (control.isTrapped) await db.collection(retiredName(model.from.name)).drop().catch(unlessDone);
    await db.collection(model.from.name).drop().catch(unlessDone);
    await forget(db, model);
  } catch (error) {
    throw storeError(error, `retiring ${model.from.name}`);
  }
}

async function controlOf({ db }: Room, model: Model): Promise<ControlDocument> {
  const control = await findControl(db, model);
  if (control === undefined) throw notCreated(model.name);
  return control;
}

/**
 * Control goes first on the way there and last on the way back: between the
 * two steps a transaction looks under a name that does not exist, and finds no
 * old document, in a phase in which nobody needs one.
 */
async function putAway({ db }: Room, model: Model): Promise<void> {
  const { name } = documentsOf(model).old;
  await controls(db).updateOne({ _id: model.name }, { $set: { isTrapped: true } });
  const found = await db.listCollections({ name: { $in: [name, retiredName(name)] } }).toArray();
  const isAway = found.some((each) => each.name === retiredName(name));
  if (!isAway) await db.collection(name).rename(retiredName(name));
  else if (found.some((each) => each.name === name && each.type === 'view')) await db.collection(name).drop();
  const words = `the collection ${name} was retired by the remodel ${model.name}`;
  const refuse = [{ $match: { $expr: { $toInt: words } } }];
  // Should a writer have been quick enough to make a collection of this name anew, this fails, and his data stays.
  await db.createCollection(name, { viewOn: retiredName(name), pipeline: refuse });
}

async function takeBack({ db }: Room, model: Model): Promise<void> {
  const { name } = documentsOf(model).old;
  const [there] = await db.listCollections({ name }).toArray();
  if (there?.type === 'view') await db.collection(name).drop();
  await db.collection(retiredName(name)).rename(name).catch(unlessDone);
  await controls(db).updateOne({ _id: model.name }, { $set: { isTrapped: false } });
}

function unlessDone(error: unknown): void {
  if (serverCodeOf(error) !== NAMESPACE_NOT_FOUND) throw error;
}

function profiledReads(database: string, model: Model): Document {
  return {
    ns: `${database}.${model.from.name}`,
    op: { $in: ['query', 'command'] },
    appName: { $ne: 'godwit' },
    'command.listIndexes': { $exists: false },
    'command.collMod': { $exists: false },
    'command.create': { $exists: false },
  };
}

async function profile({ db }: Room, model: Model): Promise<void> {
  const filter = profiledReads(db.databaseName, model);
  const now = await db.command({ profile: -1 });
  const isOurs =
    now['was'] === 1 && now['filter'] !== undefined && JSON.stringify(now['filter']).includes(filter['ns']);
  if (now['was'] !== PROFILE_SLOW_OFF && !isOurs)
    throw new GodwitError('GW1004', `The profiler of ${db.databaseName} is in use; switch it off to record readers`);
  await db.command({ profile: 1, filter });
}

async function stopProfiling({ db }: Room, model: Model): Promise<void> {
  const now = await db.command({ profile: -1 }).catch(() => undefined);
  const text = JSON.stringify(now?.['filter'] ?? {});
  if (now?.['was'] === 1 && text.includes(`${db.databaseName}.${model.from.name}`))
    await db.command({ profile: PROFILE_SLOW_OFF, filter: 'unset' });
}
