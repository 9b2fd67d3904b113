import type { Model } from '../../../kernel/remodel/index.ts';
import type { DirtyDocument, Guard } from './guard.ts';
import { CONTROL, identityOfId, idsOf } from './names.ts';
import { carryOrQuarantine, type Room } from './relay.ts';
import { eachOf, storeError } from './transactions.ts';

const AT_ONCE = 4;
const CATCH_UP_MS = 10_000;

/** See `RemodelStore.settleDirty`: everything that was written before the call is looked at. */
export async function settleSome(room: Room, model: Model, guard: Guard, limit: number): Promise<number> {
  await guard.catchUp(CATCH_UP_MS);
  const dirty = room.db.collection<DirtyDocument>(CONTROL.dirty);
  try {
    const found = await dirty
      .find({ _id: idsOf(model) })
      .sort({ at: 1 })
      .limit(limit)
      .toArray();
    await eachOf(found, AT_ONCE, async ({ _id, n }) => {
      await carryOrQuarantine(room, model, identityOfId(model, _id), 'settle');
      // A write that came meanwhile has counted on, and is dealt with next time.
      await dirty.deleteOne({ _id, n });
    });
    return found.length;
  } catch (error) {
    throw storeError(error, `settling writes past the library, ${model.name}`);
  }
}
