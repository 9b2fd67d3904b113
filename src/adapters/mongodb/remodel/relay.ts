import type { Db, Document, MongoClient } from 'mongodb';
import type { GodwitError } from '../../../kernel/errors.ts';
import { type Identity, type Model, type RelayPass, writesOld } from '../../../kernel/remodel/index.ts';
import { carryIdentity, type Purpose, quarantineIdentity } from './carry.ts';
import { findControl } from './control.ts';
import { documentsOf } from './documents.ts';
import { CONTROL, identityOfId, idOf } from './names.ts';
import { outboxOf, waitingOf } from './outbox.ts';
import { eachOf, isOfTheRow, storeError, transact } from './transactions.ts';

/** Transactions of the relay at the same time. */
const AT_ONCE = 8;
/** Names in one `$in`. */
const NAMES_AT_ONCE = 1000;

const NOTHING: RelayPass = { applied: 0, quarantined: 0, more: false, oldestMs: 0 };

export interface Room {
  readonly client: MongoClient;
  readonly db: Db;
}

/** One pass: see `RemodelStore.relay`. */
export async function relayPass(
  room: Room,
  model: Model,
  limit: number,
  only: readonly Identity[] | undefined,
): Promise<RelayPass> {
  const control = await findControl(room.db, model);
  if (control === undefined || !writesOld(control.phase)) return NOTHING;
  const waiting = await waitingIdentities(room.db, model, limit + 1, only);
  const now = waiting.slice(0, limit);
  const pass = { applied: 0, quarantined: 0, oldestMs: 0 };
  await eachOf(now, AT_ONCE, async ({ identity, ageMs }) => {
    const done = await carryOrQuarantine(room, model, identity, 'relay');
    if (done === 'quarantined') pass.quarantined += 1;
    if (done !== 'done') return;
    pass.applied += 1;
    pass.oldestMs = Math.max(pass.oldestMs, ageMs);
  });
  return { ...pass, more: waiting.length > limit };
}

interface WaitingIdentity {
  readonly identity: Identity;
  readonly ageMs: number;
}

/** Oldest first. Those in quarantine wait until they are asked for, or change again. */
async function waitingIdentities(
  db: Db,
  model: Model,
  limit: number,
  only: readonly Identity[] | undefined,
): Promise<WaitingIdentity[]> {
  const age = { $project: { ageMs: { $subtract: ['$$NOW', '$at'] } } };
  const ask = async (match: Document) => {
    const pipeline = [{ $match: { ...waitingOf(model), ...match } }, { $sort: { at: 1 } }, { $limit: limit }, age];
    return outboxOf(db).aggregate<{ _id: string; ageMs: number }>(pipeline).toArray();
  };
  try {
    const found = only === undefined ? await ask({ stuck: { $ne: true } }) : [];
    for (let at = 0; at < (only?.length ?? 0); at += NAMES_AT_ONCE) {
      const names = (only ?? []).slice(at, at + NAMES_AT_ONCE).map((identity) => idOf(model, identity));
      found.push(...(await ask({ _id: { $in: names } })));
    }
    return found.map(({ _id, ageMs }) => ({ identity: identityOfId(model, _id), ageMs: Math.max(0, Number(ageMs)) }));
  } catch (error) {
    throw storeError(error, `reading what waits for ${model.name}`);
  }
}

/** Carries one identity in a transaction of its own; what its row or transform refuses ends in quarantine. */
export async function carryOrQuarantine(
  { client, db }: Room,
  model: Model,
  identity: Identity,
  purpose: Purpose,
): Promise<'done' | 'nothing' | 'quarantined'> {
  const documents = documentsOf(model);
  try {
    const where = `carrying an identity of ${model.name}`;
    const done = await transact(client, where, (session) => carryIdentity(db, documents, identity, session, purpose));
    return done ? 'done' : 'nothing';
  } catch (error) {
    if (!isOfTheRow(error)) throw error;
    await quarantine({ client, db }, model, identity, error);
    return 'quarantined';
  }
}

export async function quarantine(
  { client, db }: Room,
  model: Model,
  identity: Identity,
  reason: GodwitError,
): Promise<void> {
  const words = `${reason.code} ${reason.message}`;
  await transact(client, `quarantine of an identity of ${model.name}`, (session) =>
    quarantineIdentity(db, documentsOf(model), identity, words, session),
  );
}

interface Rung {
  readonly _id: string;
  readonly rung: Date;
}

/**
 * Identities to ring for. When each was rung last is kept beside the outbox:
 * a write of the outbox document would make transactions of the application repeat.
 */
export async function identitiesToRing(
  { db }: Room,
  model: Model,
  limit: number,
  sinceMs: number,
): Promise<readonly Identity[]> {
  const rung = db.collection<Rung>(CONTROL.rung);
  const pipeline = [
    { $match: { ...waitingOf(model), stuck: { $ne: true } } },
    { $sort: { at: 1 } },
    { $lookup: { from: CONTROL.rung, localField: '_id', foreignField: '_id', as: 'rung' } },
    { $match: { $expr: { $lte: [{ $ifNull: [{ $max: '$rung.rung' }, new Date(0)] }, ago(sinceMs)] } } },
    { $limit: limit },
    { $project: { _id: 1 } },
  ];
  try {
    const found = await outboxOf(db).aggregate<{ _id: string }>(pipeline).toArray();
    if (found.length === 0) return [];
    const mark = ({ _id }: { _id: string }) => ({
      updateOne: { filter: { _id }, update: { $currentDate: { rung: true as const } }, upsert: true },
    });
    await rung.bulkWrite(found.map(mark), { ordered: false });
    return found.map(({ _id }) => identityOfId(model, _id));
  } catch (error) {
    throw storeError(error, `choosing what to ring for, ${model.name}`);
  }
}

function ago(ms: number): Document {
  return { $subtract: ['$$NOW', ms] };
}
