import type { ClientSession, Db } from 'mongodb';
import {
  type Identity,
  mergePast,
  type Row,
  type State,
  type Table,
  type Value,
  valueText,
  writesOld,
} from '../../../kernel/remodel/index.ts';
import type { ModelDocuments } from './documents.ts';
import { type IdentityView, oldCollection, oldDocument, stateOf, viewIdentity } from './identity-view.ts';
import { CONTROL, idOf } from './names.ts';
import { NewRows } from './new-rows.ts';
import { writeOldDocument } from './old-row.ts';
import { lockIdentity, outboxOf } from './outbox.ts';
import { downOf, guarded } from './transforms.ts';

/** What one transaction does with an identity that the new model owns. */
export type Purpose =
  /** Carry what waits to the old document; nothing when nothing waits. */
  | 'relay'
  /** The old document may have been written past the library. */
  | 'settle'
  /** Give it back to the old model. */
  | 'release';

/**
 * Makes the old document of an identity what the new model says, in one
 * transaction. A write past the library is seen by what it left: the old
 * document is not what the library left there. It is merged into the new rows
 * first, whoever comes first, guard or relay, so that it is never overwritten.
 * Gives whether there was something to do.
 */
export async function carryIdentity(
  db: Db,
  documents: ModelDocuments,
  identity: Identity,
  session: ClientSession,
  purpose: Purpose,
): Promise<boolean> {
  const { model } = documents;
  const view = await viewIdentity(db, documents, identity, session);
  if (purpose === 'relay' && view.waiting === undefined) return false;
  if (view.owner === 'none') {
    await lockIdentity(db, model, identity, session, { kind: 'clear' });
    return false;
  }
  const ours = view.owner === 'new' ? stateOf(documents, view) : undefined;
  const raw = await oldDocument(db, documents, view.control, identity, session);
  const theirs = raw === undefined ? undefined : documents.old.decode(raw);
  const base = baseOf(documents, view, ours);
  const isPast = base !== 'unknown' && differ(documents, base, theirs);
  const state = isPast ? guarded(model, 'up', () => mergePast(model, ours, base, theirs)) : ours;
  const rows = new NewRows(db, session, documents, identity, view.documents);

  if (purpose !== 'release' && !writesOld(view.control.phase)) {
    if (!isPast) return false;
    await lockIdentity(db, model, identity, session, { kind: 'queue', base: theirs });
    await rewrite(documents, rows, ours, state);
    return true;
  }
  await lockIdentity(db, model, identity, session, { kind: 'settled' });
  const row = state === undefined ? undefined : downOf(model, state);
  await writeOldDocument(oldCollection(db, documents, view.control), documents.old, session, { identity, raw, row });
  if (purpose === 'release') {
    await rows.clear();
    await rows.exhume();
  } else if (isPast) await rewrite(documents, rows, ours, state);
  if (view.isQuarantined) await discharge(db, documents, identity, session);
  return true;
}

/** The old row as the library left it. */
function baseOf(
  { model }: ModelDocuments,
  { waiting }: IdentityView,
  ours: State | undefined,
): Row | undefined | 'unknown' {
  if (waiting !== undefined) return waiting.base;
  return ours === undefined ? undefined : downOf(model, ours);
}

function differ({ old }: ModelDocuments, a: Row | undefined, b: Row | undefined): boolean {
  if (a === undefined || b === undefined) return a !== b;
  return old.differing(a, b).length > 0;
}

/** Makes the new rows `after`, where they were `before`; undefined stands for deleted. */
async function rewrite(
  { model }: ModelDocuments,
  rows: NewRows,
  before: State | undefined,
  after: State | undefined,
): Promise<void> {
  if (after === undefined) {
    if (before === undefined) return;
    await rows.clear();
    await rows.bury();
    return;
  }
  if (before === undefined) {
    await rows.exhume();
    await rows.insert(after);
    return;
  }
  for (const [as, table] of Object.entries(model.to)) {
    for (const id of gone(table, before[as], after[as])) await rows.remove(as, id);
    await rows.put(as, after[as] ?? []);
  }
}

/** Ids of rows that are in `before` only. */
function gone(table: Table, before: readonly Row[] = [], after: readonly Row[] = []): Value[] {
  if (!table.isMany) return [];
  const idOf = (row: Row) => row[table.id as string] as Value;
  const left = new Set(after.map((row) => valueText(idOf(row))));
  return before.map(idOf).filter((id) => !left.has(valueText(id)));
}

/** Puts an identity into quarantine: nothing of it was changed, and it is left alone until it changes. */
export async function quarantineIdentity(
  db: Db,
  { model }: ModelDocuments,
  identity: Identity,
  reason: string,
  session: ClientSession,
): Promise<void> {
  const _id = idOf(model, identity);
  const update = { $set: { reason }, $currentDate: { at: true as const } };
  await db.collection<{ _id: string }>(CONTROL.quarantine).updateOne({ _id }, update, { session, upsert: true });
  await outboxOf(db).updateOne({ _id, at: { $exists: true } }, { $set: { stuck: true } }, { session });
}

export async function discharge(
  db: Db,
  { model }: ModelDocuments,
  identity: Identity,
  session: ClientSession,
): Promise<void> {
  await db.collection<{ _id: string }>(CONTROL.quarantine).deleteOne({ _id: idOf(model, identity) }, { session });
}
