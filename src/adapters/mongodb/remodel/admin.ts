/** What the commands ask of MongoDB beside the protocol. */
import type { Document } from 'mongodb';
import type {
  CompareOptions,
  ExportedSnapshot,
  Identity,
  Model,
  Quarantined,
  RemodelAdmin,
  Row,
} from '../../../kernel/remodel/index.ts';
import { findControl, noteAudit } from './control.ts';
import { documentsOf, RAW, rawDocuments } from './documents.ts';
import { archiveOld, exportFiles } from './export.ts';
import { type DirtyDocument, noteDirty } from './guard.ts';
import { oldCollection } from './identity-view.ts';
import { CONTROL, identityOfId, idsOf } from './names.ts';
import { outboxOf } from './outbox.ts';
import type { Room } from './relay.ts';
import { type Scanned, scan } from './scan.ts';
import { storeError, transact } from './transactions.ts';

/** Identities let go in one transaction. */
const FREED_AT_ONCE = 500;

export class MongoRemodelAdmin implements RemodelAdmin {
  readonly #room: Room;

  constructor(room: Room) {
    this.#room = room;
  }

  async *missing(model: Model, batch: number, signal: AbortSignal): AsyncGenerator<readonly Identity[]> {
    const documents = documentsOf(model);
    const found: Identity[] = [];
    const options = { byValue: false, withoutLists: true, signal, onSnapshot: () => undefined };
    for await (const scanned of scan(this.#room, documents, options)) {
      for (const one of scanned) if (isMissing(one, model.root)) found.push(one.identity);
      while (found.length >= batch) yield found.splice(0, batch);
    }
    if (found.length > 0) yield found;
  }

  async sample(model: Model, limit: number): Promise<readonly Row[]> {
    const { old } = documentsOf(model);
    try {
      const collection = await this.#oldCollection(model);
      const found = await collection.aggregate([{ $sample: { size: limit } }], RAW).toArray();
      return rawDocuments(found).map((raw) => old.decode(raw));
    } catch (error) {
      throw storeError(error, `sampling ${model.from.name}`);
    }
  }

  /** MongoDB runs no SQL. */
  sqlUp(_model: Model, _rows: readonly Row[]): undefined {
    return undefined;
  }

  async quarantine(model: Model, limit: number): Promise<readonly Quarantined[]> {
    try {
      const found = await this.#room.db
        .collection<{ _id: string; reason: string; at: Date }>(CONTROL.quarantine)
        .find({ _id: idsOf(model) })
        .sort({ at: 1, _id: 1 })
        .limit(limit)
        .toArray();
      return found.map(({ _id, reason, at }) => ({
        identity: identityOfId(model, _id),
        reason,
        at: at.toISOString(),
      }));
    } catch (error) {
      throw storeError(error, `reading the quarantine of ${model.name}`);
    }
  }

  /**
   * What waits for the relay is asked for again at once, and what was written
   * past the library is looked at again; the rest is in the next list of the backfill.
   */
  async retryQuarantine(model: Model): Promise<number> {
    const { client, db } = this.#room;
    const quarantine = db.collection<{ _id: string }>(CONTROL.quarantine);
    for (let freed = 0; ; ) {
      const some = await transact(client, `emptying the quarantine of ${model.name}`, async (session) => {
        const options = { session, projection: { _id: 1 } } as const;
        const found = await quarantine
          .find({ _id: idsOf(model) }, options)
          .limit(FREED_AT_ONCE)
          .toArray();
        if (found.length === 0) return 0;
        const _id = { $in: found.map((each) => each._id) };
        await quarantine.deleteMany({ _id }, { session });
        await outboxOf(db).updateMany({ _id, stuck: true }, { $unset: { stuck: '' } }, { session });
        await db.collection<DirtyDocument>(CONTROL.dirty).bulkWrite(found.map(noteDirty), { session });
        return found.length;
      });
      freed += some;
      if (some < FREED_AT_ONCE) return freed;
    }
  }

  /** The server queues for all databases alike; those that wait for one collection cannot be told apart. */
  async lockWaits(_model: Model): Promise<number> {
    try {
      const status = await this.#room.db.admin().command({ serverStatus: 1 });
      return Number((status['globalLock'] as Document | undefined)?.['currentQueue']?.['total'] ?? 0);
    } catch (error) {
      throw storeError(error, 'counting what waits for a lock');
    }
  }

  async note(model: Model, event: string, data: Record<string, unknown>): Promise<void> {
    await noteAudit(this.#room, model, event, data);
  }

  exportSnapshot(model: Model, folder: string, options: CompareOptions): Promise<ExportedSnapshot> {
    return exportFiles(this.#room, model, folder, options);
  }

  archive(model: Model, file: string, signal: AbortSignal): Promise<number> {
    return archiveOld(this.#room, model, file, signal);
  }

  async #oldCollection(model: Model) {
    const { db } = this.#room;
    const control = (await findControl(db, model)) ?? { isTrapped: false };
    return oldCollection(db, documentsOf(model), control);
  }
}

function isMissing(found: Scanned, root: string): boolean {
  const isOwned = (found.new[root]?.length ?? 0) > 0;
  return found.old !== undefined && !isOwned && !found.isBuried && !found.isQuarantined;
}
