import type { Identity, Model } from '../../../kernel/remodel/index.ts';
import { collectionOf, documentsOf, RAW, rawDocuments } from './documents.ts';
import { CONTROL, identityOfId, idsOf } from './names.ts';
import { carryOrQuarantine, type Room } from './relay.ts';
import { eachOf, storeError } from './transactions.ts';

const AT_ONCE = 8;
/** So many times the limit is chosen from. */
const LANES = 4;

/** See `RemodelStore.release`. What is refused stays owned, in quarantine. */
export async function releaseSome(room: Room, model: Model, limit: number): Promise<number> {
  const owned = await ownedIdentities(room, model, limit);
  let released = 0;
  await eachOf(owned.free, AT_ONCE, async (identity) => {
    if ((await carryOrQuarantine(room, model, identity, 'release')) === 'done') released += 1;
  });
  if (released > 0) return released;
  return owned.free.length + owned.ill === 0 ? 0 : -1;
}

interface Owned {
  readonly free: readonly Identity[];
  /** How many there are that cannot be released. */
  readonly ill: number;
}

async function ownedIdentities({ db }: Room, model: Model, limit: number): Promise<Owned> {
  const { root } = documentsOf(model);
  const named = (collection: string, most: number) =>
    db
      .collection<{ _id: string }>(collection)
      .find({ _id: idsOf(model) }, { projection: { _id: 1 } })
      .limit(most)
      .toArray();
  try {
    const ill = new Set((await named(CONTROL.quarantine, 0)).map(({ _id }) => identityOfId(model, _id)));
    const most = limit * LANES + ill.size;
    const roots = await collectionOf(db, root)
      .find({}, { ...RAW, projection: { [root.keyPath]: 1 } })
      .limit(most)
      .toArray();
    const owned = rawDocuments(roots).map((raw) => root.identityOf(raw));
    if (owned.length < most)
      owned.push(...(await named(CONTROL.tombstone, most)).map(({ _id }) => identityOfId(model, _id)));
    const free = owned.filter((identity) => !ill.has(identity));
    // Several lanes ask at once: each begins elsewhere, so that they seldom meet.
    const from = Math.floor(Math.random() * free.length);
    return { free: [...free.slice(from), ...free.slice(0, from)].slice(0, limit), ill: owned.length - free.length };
  } catch (error) {
    throw storeError(error, `choosing what to release of ${model.name}`);
  }
}
