/**
 * `godwit_outbox` holds one document for each identity that waits for the
 * relay or was locked a moment ago. Every transaction that looks at who owns an
 * identity writes that document, even when it changes nothing of it: two such
 * transactions at once then conflict, and the second is repeated on a snapshot
 * that has the first. Reading alone would not do (write skew).
 *
 * `n` locks counted, so that each is a change · `w` goes up when the same
 * transaction writes the old document, which is how the guard knows it for ours
 * · `at` since when it waits · `base` the old row as the library left it ·
 * `rung` when last rung for · `stuck` it is in quarantine · `idle` nothing
 * waits; the server removes the document a minute after.
 */
import type { ClientSession, Collection, Db, Document, UpdateFilter } from 'mongodb';
import type { Identity, Model, Row } from '../../../kernel/remodel/index.ts';
import { documentsOf } from './documents.ts';
import { CONTROL, idOf } from './names.ts';

export interface OutboxDocument {
  readonly _id: string;
  readonly remodel?: string;
  readonly n: number;
  readonly w?: number;
  readonly at?: Date;
  readonly stuck?: boolean;
}

export function outboxOf(db: Db): Collection<OutboxDocument> {
  return db.collection(CONTROL.outbox);
}

/** Those of a remodel that wait. */
export function waitingOf(model: Model): Document {
  return { remodel: model.name, at: { $exists: true } };
}

export type Lock =
  /** What waits goes on waiting. */
  | { readonly kind: 'touch' }
  /** The old document is the truth: nothing waits, whatever an earlier transaction had in mind. */
  | { readonly kind: 'clear' }
  /** New rows change: the old one is to follow. */
  | { readonly kind: 'queue'; readonly base: Row | undefined | 'unknown' }
  /** The old document is written next, past nobody. */
  | { readonly kind: 'write old' }
  /** The old document is written next, and nothing waits any more. */
  | { readonly kind: 'settled' };

/** Locks an identity until the end of the transaction. */
export async function lockIdentity(
  db: Db,
  model: Model,
  identity: Identity,
  session: ClientSession,
  lock: Lock,
): Promise<void> {
  await outboxOf(db).updateOne({ _id: idOf(model, identity) }, lockUpdate(model, lock), { session, upsert: true });
}

export function lockUpdate(model: Model, lock: Lock): UpdateFilter<OutboxDocument> & Document {
  switch (lock.kind) {
    case 'touch':
      return { $inc: { n: 1 } };
    case 'clear':
      return { $inc: { n: 1 }, ...NOTHING_WAITS };
    case 'write old':
      return { $inc: { n: 1, w: 1 } };
    case 'settled':
      return { $inc: { n: 1, w: 1 }, ...NOTHING_WAITS };
    case 'queue': {
      const isKnown = lock.base !== 'unknown';
      const base = lock.base === 'unknown' ? {} : { base: documentsOf(model).remembered.encode(lock.base) };
      return {
        $inc: { n: 1 },
        $set: { remodel: model.name, ...base },
        $currentDate: { at: true },
        $unset: { idle: '', stuck: '', ...(isKnown ? {} : { base: '' }) },
      };
    }
  }
}

const NOTHING_WAITS = { $unset: { at: '', base: '', stuck: '' }, $currentDate: { idle: true } } as const;
