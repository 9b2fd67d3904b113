import type { Identity, Model } from '../../../kernel/remodel/index.ts';
import { collectionOf, documentsOf, RAW, rawDocuments } from './documents.ts';
import { CONTROL, identityOfId, idsOf } from './names.ts';
import { carryOrQuarantine, type Room } from './relay.ts';
import { eachOf, storeError } from './transactions.ts';

const AT_ONCE = 8;

/** See `RemodelStore.release`. What is refused stays owned, in quarantine. */
export async function releaseSome(room: Room, model: Model, limit: number): Promise<number> {
  let released = 0;
  await eachOf(await ownedIdentities(room, model, limit), AT_ONCE, async (identity) => {
    if ((await carryOrQuarantine(room, model, identity, 'release')) === 'done') released += 1;
  });
  return released;
}

async function ownedIdentities({ db }: Room, model: Model, limit: number): Promise<Identity[]> {
  const { root } = documentsOf(model);
  const named = (collection: string, most: number) =>
    db
      .collection<{ _id: string }>(collection)
      .find({ _id: idsOf(model) }, { projection: { _id: 1 } })
      .limit(most)
      .toArray();
  try {
    const ill = new Set((await named(CONTROL.quarantine, 0)).map(({ _id }) => identityOfId(model, _id)));
    const most = limit + ill.size;
    const roots = await collectionOf(db, root)
      .find({}, { ...RAW, projection: { [root.keyPath]: 1 } })
      .limit(most)
      .toArray();
    const owned = rawDocuments(roots).map((raw) => root.identityOf(raw));
    if (owned.length < most)
      owned.push(...(await named(CONTROL.tombstone, most)).map(({ _id }) => identityOfId(model, _id)));
    return owned.filter((identity) => !ill.has(identity)).slice(0, limit);
  } catch (error) {
    throw storeError(error, `choosing what to release of ${model.name}`);
  }
}
