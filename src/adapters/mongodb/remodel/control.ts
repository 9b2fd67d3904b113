import type { ClientSession, Db, Document } from 'mongodb';
import { GodwitError } from '../../../kernel/errors.ts';
import type { AuditRow, Control, ControlChange, Lease, Model } from '../../../kernel/remodel/index.ts';
import { notCreated, type StoredControl } from './identity-view.ts';
import { CONTROL, idOf } from './names.ts';
import type { Room } from './relay.ts';
import { storeError, transact } from './transactions.ts';

/** Control of one remodel, as it is stored. */
export interface ControlDocument extends StoredControl {
  readonly _id: string;
  /** Server's time of the last change. */
  readonly changedAt: Date;
  /** New collections that `create` made. */
  readonly made: readonly string[];
  /** A server's time after the change to this epoch was committed: see older-transactions.ts. */
  readonly known?: { readonly epoch: number; readonly at: Date };
}

export function controls(db: Db) {
  return db.collection<ControlDocument>(CONTROL.remodel);
}

export async function findControl(db: Db, model: Model, session?: ClientSession): Promise<ControlDocument | undefined> {
  try {
    return (await controls(db).findOne({ _id: model.name }, { session, promoteValues: true })) ?? undefined;
  } catch (error) {
    throw storeError(error, `reading the control record of ${model.name}`);
  }
}

/** What the port calls control, without what is our own. */
export function asControl(stored: ControlDocument): Control {
  const { phase, epoch, ramp, reads, shadow, guard, definition } = stored;
  return { phase, epoch, ramp, reads, shadow, guard, definition };
}

/** Compare-and-set by the epoch, with its audit row, in one transaction. */
export async function changeControl(
  { client, db }: Room,
  model: Model,
  epoch: number,
  change: ControlChange,
  event: string,
  data: Record<string, unknown>,
): Promise<Control> {
  if (change.guard === 'reject') throw noReject(model);
  return transact(client, `changing the control record of ${model.name}`, async (session) => {
    const update = { $set: change, $inc: { epoch: 1 }, $currentDate: { changedAt: true as const } };
    const filter = { _id: model.name, epoch };
    const after = await controls(db).findOneAndUpdate(filter, update, { session, returnDocument: 'after' });
    if (after === null) throw await whyNot(db, model, epoch, session);
    await writeAudit(db, model, after.epoch, event, data, session);
    return asControl(after);
  });
}

/** A validator could refuse writes without a mark, but any writer that copies a document would copy the mark with it. */
export function noReject(model: Model): GodwitError {
  return new GodwitError(
    'GW1001',
    `Remodel ${model.name}: MongoDB has no means to refuse writes past the library; its guard is capture`,
  );
}

async function whyNot(db: Db, model: Model, epoch: number, session: ClientSession): Promise<GodwitError> {
  const now = await findControl(db, model, session);
  if (now === undefined) return notCreated(model.name);
  return new GodwitError('GW7007', `Remodel ${model.name} is at epoch ${now.epoch}, not ${epoch} any more`, {
    details: { epoch, now: now.epoch },
  });
}

interface AuditDocument {
  readonly _id: string;
  readonly remodel: string;
  readonly at: Date;
  readonly event: string;
  readonly epoch: number;
  /** As JSON text: names of fields are the caller's. */
  readonly data: string;
}

export async function writeAudit(
  db: Db,
  model: Model,
  epoch: number,
  event: string,
  data: Record<string, unknown>,
  session: ClientSession,
): Promise<void> {
  const audit = db.collection<AuditDocument>(CONTROL.audit);
  const filter = { remodel: model.name };
  const last = await audit.find(filter, { session }).sort({ _id: -1 }).limit(1).next();
  const number = last === null ? 1 : Number(last._id.slice(model.name.length + 1)) + 1;
  const _id = idOf(model, String(number).padStart(12, '0'));
  const update = {
    $set: { remodel: model.name, event, epoch, data: JSON.stringify(data) },
    $currentDate: { at: true as const },
  };
  await audit.updateOne({ _id }, update, { session, upsert: true });
}

/** An audit row of its own, without a change of control. */
export function noteAudit({ client, db }: Room, model: Model, event: string, data: Record<string, unknown>) {
  return transact(client, `noting ${event} of ${model.name}`, async (session) => {
    const control = await findControl(db, model, session);
    await writeAudit(db, model, control?.epoch ?? 0, event, data, session);
  });
}

/** The latest first. */
export async function readAudit(db: Db, model: Model, limit: number): Promise<readonly AuditRow[]> {
  const cursor = db.collection<AuditDocument>(CONTROL.audit).find({ remodel: model.name });
  try {
    const rows = await cursor.sort({ _id: -1 }).limit(limit).toArray();
    return rows.map(({ at, event, epoch, data }) => ({ at: at.toISOString(), event, epoch, data: JSON.parse(data) }));
  } catch (error) {
    throw storeError(error, `reading the history of ${model.name}`);
  }
}

/** A lease that nobody renewed for this long is removed by the server. */
export const LEASE_KEPT_S = 3600;

export async function writeLease(db: Db, model: Model, lease: Omit<Lease, 'ageMs'>): Promise<void> {
  const { process, ...rest } = lease;
  const update = { $set: { remodel: model.name, process, ...rest }, $currentDate: { seen: true as const } };
  const leases = db.collection<{ _id: string }>(CONTROL.lease);
  try {
    await leases.updateOne({ _id: idOf(model, process) }, update as Document, { upsert: true });
  } catch (error) {
    throw storeError(error, `renewing a lease of ${model.name}`);
  }
}

export async function deleteLease(db: Db, model: Model, process: string): Promise<void> {
  try {
    await db.collection<{ _id: string }>(CONTROL.lease).deleteOne({ _id: idOf(model, process) });
  } catch (error) {
    throw storeError(error, `ending a lease of ${model.name}`);
  }
}

export async function readLeases(db: Db, model: Model): Promise<readonly Lease[]> {
  const age = { ageMs: { $subtract: ['$$NOW', '$seen'] } };
  const pipeline = [{ $match: { remodel: model.name } }, { $set: age }, { $unset: ['_id', 'remodel', 'seen'] }];
  try {
    const found = await db.collection(CONTROL.lease).aggregate<Lease>(pipeline).toArray();
    return found.map((lease) => ({ ...lease, ageMs: Number(lease.ageMs) }));
  } catch (error) {
    throw storeError(error, `reading the leases of ${model.name}`);
  }
}
