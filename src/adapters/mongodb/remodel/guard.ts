import type { ChangeStream, Document, ResumeToken } from 'mongodb';
import { GodwitError } from '../../../kernel/errors.ts';
import type { Model } from '../../../kernel/remodel/index.ts';
import { fromDriver } from '../errors.ts';
import { documentsOf } from './documents.ts';
import { GuardEvents } from './guard-events.ts';
import { CONTROL, idOf, idsOf, retiredName } from './names.ts';
import type { Room } from './relay.ts';
import { storeError, transact } from './transactions.ts';

/** The guard's place, shared by all processes. */
interface GuardDocument {
  readonly _id: string;
  readonly token: ResumeToken;
  /** The last heartbeat. */
  readonly beat: number;
  /** The last heartbeat before `token`: who wrote it need not see it himself. */
  readonly seen?: number;
  /** Since when events may have been missed; gone after a proof by value. */
  readonly lost?: Date;
}

/** Changes told at once to the control collections. */
const MOST_EVENTS = 1_000;
const AWAIT_MS = 100;

function guards({ db }: Room) {
  return db.collection<GuardDocument>(CONTROL.guard);
}

/**
 * Follows the old collection by a change stream and remembers the identities
 * that somebody wrote past the library. Whose a write is, is not guessed: a
 * transaction of the library changes `w` of the identity's outbox document
 * before it writes the old one, and both events carry the same transaction. The
 * place in the stream is stored in one transaction with what was found up to it.
 *
 * The guard only says where to look: what was written is seen by `carryIdentity`.
 */
export class Guard {
  readonly #room: Room;
  readonly #model: Model;
  readonly #events: GuardEvents;
  #stream: ChangeStream | undefined;
  /** The stored place that the open stream goes on from. */
  #token: ResumeToken;
  #turn: Promise<unknown> = Promise.resolve();

  constructor(room: Room, model: Model) {
    this.#room = room;
    this.#model = model;
    this.#events = new GuardEvents(documentsOf(model));
  }

  /**
   * Reads everything that was written before this call. Gives whether that is
   * so: false when a heartbeat of ours did not come through in time, or when
   * events were lost and no proof has been made since.
   */
  catchUp(withinMs: number): Promise<boolean> {
    const turn = this.#turn.then(() => this.#catchUp(withinMs));
    this.#turn = turn.catch(() => undefined);
    return turn;
  }

  async close(): Promise<void> {
    await this.#turn;
    await this.#closeStream();
  }

  async #catchUp(withinMs: number): Promise<boolean> {
    const until = performance.now() + withinMs;
    try {
      const beat = await this.#beat();
      while (performance.now() < until) {
        const isThere = await this.#readOn(beat);
        if (isThere) return (await guards(this.#room).findOne({ _id: this.#model.name }))?.lost === undefined;
      }
      return false;
    } catch (error) {
      await this.#closeStream();
      const fault = error instanceof GodwitError ? error : fromDriver(error, 'following the old collection');
      if (fault.code !== 'GW4001') throw fault;
      await this.#startAfresh();
      return false;
    }
  }

  async #beat(): Promise<number> {
    const update = { $inc: { beat: 1 } };
    const options = { returnDocument: 'after', writeConcern: { w: 'majority' } } as const;
    const after = await guards(this.#room).findOneAndUpdate({ _id: this.#model.name }, update, options);
    if (after === null)
      throw new GodwitError('GW1004', `The remodel ${this.#model.name} has no guard; create it again`);
    return after.beat;
  }

  /** Reads up to the heartbeat, or until nothing more is there for the moment. Gives whether the heartbeat came by. */
  async #readOn(beat: number): Promise<boolean> {
    const stream = await this.#open();
    for (let count = 1; ; count += 1) {
      const event = await stream.tryNext();
      if (event !== null) this.#events.take(event);
      const isThere = this.#events.lastBeat >= beat;
      // Only between transactions: what makes an event ours comes before it in the same one.
      const isBoundary = event === null || (this.#events.isBetween && (isThere || count >= MOST_EVENTS));
      if (!isBoundary) continue;
      if (!(await this.#store(stream.resumeToken))) return false;
      if (event === null || isThere) return isThere;
      count = 0;
    }
  }

  /** Stores place and findings. Gives false when another process was faster: then all of it is read again. */
  async #store(token: ResumeToken): Promise<boolean> {
    const { dirty, isLost } = this.#events.drain();
    const where = `noting writes past the library, ${this.#model.name}`;
    const isStored = await transact(this.#room.client, where, async (session) => {
      const update = {
        $set: { token, seen: this.#events.lastBeat },
        ...(isLost ? { $currentDate: { lost: true as const } } : {}),
      };
      const { matchedCount } = await guards(this.#room).updateOne(
        { _id: this.#model.name, token: this.#token },
        update,
        {
          session,
        },
      );
      if (matchedCount === 0) return false;
      const notes = dirty.map((identity) => noteDirty({ _id: idOf(this.#model, identity) }));
      if (notes.length > 0) await this.#room.db.collection<DirtyDocument>(CONTROL.dirty).bulkWrite(notes, { session });
      return true;
    });
    if (isStored) this.#token = token;
    else await this.#closeStream();
    return isStored;
  }

  async #open(): Promise<ChangeStream> {
    if (this.#stream !== undefined && !this.#stream.closed) return this.#stream;
    const guard = await guards(this.#room).findOne({ _id: this.#model.name });
    if (guard === null)
      throw new GodwitError('GW1004', `The remodel ${this.#model.name} has no guard; create it again`);
    this.#token = guard.token;
    this.#events.begin(guard.seen ?? 0);
    this.#stream = watch(this.#room, this.#model, guard.token);
    return this.#stream;
  }

  async #closeStream(): Promise<void> {
    const stream = this.#stream;
    this.#stream = undefined;
    await stream?.close().catch(() => undefined);
  }

  /** The server has forgotten what came after our place. */
  async #startAfresh(): Promise<void> {
    const token = await presentToken(this.#room, this.#model);
    const update = { $set: { token }, $currentDate: { lost: true as const } };
    await guards(this.#room).updateOne({ _id: this.#model.name }, update);
  }
}

export interface DirtyDocument {
  readonly _id: string;
  /** Writes counted, so that one which comes while another is dealt with is not forgotten. */
  readonly n: number;
  readonly at: Date;
}

/** Has `settleDirty` look at an identity. */
export function noteDirty({ _id }: { readonly _id: string }) {
  const update = { $inc: { n: 1 }, $currentDate: { at: true as const } };
  return { updateOne: { filter: { _id }, update, upsert: true } };
}

/** Begins to follow from now, if nobody has. Part of `create`. */
export async function startGuard(room: Room, model: Model): Promise<void> {
  if ((await guards(room).findOne({ _id: model.name })) !== null) return;
  const token = await presentToken(room, model);
  await guards(room).updateOne({ _id: model.name }, { $setOnInsert: { token, beat: 0 } }, { upsert: true });
}

/** When events were lost, undefined when none were. */
export async function lostSince(room: Room, model: Model): Promise<Date | undefined> {
  return (await guards(room).findOne({ _id: model.name }))?.lost;
}

/** After a proof by value that began when events had been lost at `since`. */
export async function forgive(room: Room, model: Model, since: Date): Promise<void> {
  await guards(room).updateOne({ _id: model.name, lost: since }, { $unset: { lost: '' } });
}

async function presentToken(room: Room, model: Model): Promise<ResumeToken> {
  const stream = watch(room, model, undefined);
  try {
    await stream.tryNext();
    return stream.resumeToken;
  } catch (error) {
    throw storeError(error, 'opening a change stream');
  } finally {
    await stream.close();
  }
}

function watch({ db }: Room, model: Model, resumeAfter: ResumeToken | undefined): ChangeStream {
  const { old } = documentsOf(model);
  const isOld = { 'ns.coll': { $in: [old.name, retiredName(old.name)] } };
  const isRenamed = { 'to.coll': { $in: [old.name, retiredName(old.name)] } };
  const isOurs = {
    'ns.coll': CONTROL.outbox,
    'documentKey._id': idsOf(model),
    $or: [{ 'updateDescription.updatedFields.w': { $exists: true } }, { 'fullDocument.w': { $exists: true } }],
  };
  const isBeat = {
    'ns.coll': CONTROL.guard,
    'documentKey._id': model.name,
    'updateDescription.updatedFields.beat': { $exists: true },
  };
  const pipeline: Document[] = [{ $match: { $or: [isOld, isRenamed, isOurs, isBeat] } }];
  // Whole documents travel only where the key is not part of `documentKey`.
  if (old.keyPath === '_id')
    pipeline.push({ $project: { fullDocument: 0, updateDescription: { truncatedArrays: 0 } } });
  const images = { fullDocument: 'whenAvailable', fullDocumentBeforeChange: 'whenAvailable' } as const;
  return db.watch(pipeline, {
    ...(old.keyPath === '_id' ? {} : images),
    ...(resumeAfter === undefined ? {} : { resumeAfter }),
    maxAwaitTimeMS: AWAIT_MS,
    batchSize: MOST_EVENTS,
  });
}
