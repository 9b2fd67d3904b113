import type { ClientSession, Collection, Db, Document } from 'mongodb';
import { GodwitError } from '../../../kernel/errors.ts';
import type { Control, Identity, RemodelPhase, Row, State } from '../../../kernel/remodel/index.ts';
import { BSON_TYPE as T } from '../bson/types.ts';
import { walk } from '../bson/walk.ts';
import type { ModelDocuments } from './documents.ts';
import { RAW, rawDocuments } from './documents.ts';
import { CONTROL, idOf, retiredName } from './names.ts';
import { fieldOf, type Place } from './paths.ts';

/** What is known of an identity that waits for the relay. */
export interface Waiting {
  /** Server's clock. */
  readonly at: Date;
  /** What the old row is if nobody wrote it past the library; `unknown` when that could not be said. */
  readonly base: Row | undefined | 'unknown';
}

/** An identity as one transaction sees it. */
export interface IdentityView {
  readonly control: StoredControl;
  readonly owner: 'new' | 'deleted' | 'none';
  /** Documents of each new table, lists in the order of their ids. */
  readonly documents: Readonly<Record<string, readonly Buffer[]>>;
  readonly waiting: Waiting | undefined;
  readonly isQuarantined: boolean;
}

export interface StoredControl extends Control {
  /** Whether the old collection has its retired name. */
  readonly isTrapped: boolean;
}

/**
 * Reads all of an identity in one request, but for the old document: control,
 * ownership, new rows, and what waits.
 */
export async function viewIdentity(
  db: Db,
  documents: ModelDocuments,
  identity: Identity,
  session: ClientSession,
): Promise<IdentityView> {
  const { model } = documents;
  const pipeline = [{ $match: { _id: model.name } }, ...lookups(documents, identity)];
  const [answer] = (await db
    .collection(CONTROL.remodel)
    .aggregate(pipeline, { ...RAW, session })
    .toArray()) as unknown as Buffer[];
  if (answer === undefined) throw notCreated(model.name);
  const control = readControl(answer);
  const found: Record<string, readonly Buffer[]> = {};
  for (const [index, as] of Object.keys(model.to).entries()) found[as] = elements(answer, `t${index}`);
  const isOwned = (found[model.root]?.length ?? 0) > 0;
  const owner = isOwned ? 'new' : elements(answer, 'gone').length > 0 ? 'deleted' : 'none';
  const waiting = readWaiting(documents, elements(answer, 'lock')[0]);
  return { control, owner, documents: found, waiting, isQuarantined: elements(answer, 'ill').length > 0 };
}

function lookups(documents: ModelDocuments, identity: Identity): Document[] {
  const { model } = documents;
  const byId = { _id: idOf(model, identity) };
  const join = (from: string, as: string, match: Document, ...more: Document[]) => ({
    $lookup: { from, as, pipeline: [{ $match: match }, ...more] },
  });
  const tables = Object.values(documents.new).map((table, index) => {
    const sorted = table.idPath === undefined ? [] : [{ $sort: { [table.idPath]: 1 } }];
    return join(table.name, `t${index}`, table.ofIdentity(identity), ...sorted);
  });
  return [
    ...tables,
    join(CONTROL.outbox, 'lock', byId),
    join(CONTROL.tombstone, 'gone', byId, { $project: { _id: 1 } }),
    join(CONTROL.quarantine, 'ill', byId, { $project: { _id: 1 } }),
  ];
}

/** The old document, wherever it is kept now. */
export async function oldDocument(
  db: Db,
  documents: ModelDocuments,
  control: StoredControl,
  identity: Identity,
  session: ClientSession,
): Promise<Buffer | undefined> {
  const { old } = documents;
  const found = await oldCollection(db, documents, control)
    .find(old.ofIdentity(identity), { ...RAW, session })
    .limit(1)
    .toArray();
  return rawDocuments(found)[0];
}

export function oldCollection(db: Db, { old }: ModelDocuments, control: Pick<StoredControl, 'isTrapped'>): Collection {
  return db.collection(control.isTrapped ? retiredName(old.name) : old.name);
}

export function notCreated(name: string): GodwitError {
  return new GodwitError('GW1004', `The remodel ${name} was not created in this database`);
}

/** The new rows of an identity that the new model owns. */
export function stateOf(documents: ModelDocuments, view: Pick<IdentityView, 'documents'>): State {
  const entries = Object.entries(documents.new);
  return Object.fromEntries(
    entries.map(([as, table]) => [as, (view.documents[as] ?? []).map((raw) => table.decode(raw))]),
  );
}

function elements(answer: Buffer, name: string): Buffer[] {
  const place = fieldOf(answer, 0, name);
  return place === undefined ? [] : documentsIn(place);
}

function documentsIn({ buf, start }: Place): Buffer[] {
  const out: Buffer[] = [];
  walk(buf, start, (type, _nameStart, _nameEnd, valueStart, valueEnd) => {
    if (type === T.object) out.push(buf.subarray(valueStart, valueEnd));
  });
  return out;
}

function readWaiting(documents: ModelDocuments, lock: Buffer | undefined): Waiting | undefined {
  if (lock === undefined) return undefined;
  const at = fieldOf(lock, 0, 'at');
  if (at?.type !== T.date) return undefined;
  return { at: new Date(Number(lock.readBigInt64LE(at.start))), base: readBase(documents, lock) };
}

function readBase(documents: ModelDocuments, lock: Buffer): Row | undefined | 'unknown' {
  const base = fieldOf(lock, 0, 'base');
  if (base === undefined) return 'unknown';
  const row = fieldOf(base.buf, base.start, 'row');
  return row === undefined ? undefined : documents.remembered.decode(row.buf.subarray(row.start, row.end));
}

function readControl(raw: Buffer): StoredControl {
  const text = (name: string) => {
    const place = fieldOf(raw, 0, name);
    return place === undefined ? '' : raw.toString('utf8', place.start + 4, place.end - 1);
  };
  const number = (name: string) => {
    const place = fieldOf(raw, 0, name);
    if (place === undefined) return 0;
    return place.type === T.double ? raw.readDoubleLE(place.start) : raw.readInt32LE(place.start);
  };
  return {
    phase: text('phase') as RemodelPhase,
    epoch: number('epoch'),
    ramp: number('ramp'),
    reads: number('reads'),
    shadow: number('shadow'),
    guard: text('guard') as Control['guard'],
    definition: text('definition'),
    isTrapped: raw[fieldOf(raw, 0, 'isTrapped')?.start ?? -1] === 1,
  };
}
