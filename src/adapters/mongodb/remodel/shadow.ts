import type { Db } from 'mongodb';
import type { Model, ShadowCount } from '../../../kernel/remodel/index.ts';
import { findControl } from './control.ts';
import { notCreated } from './identity-view.ts';
import { CONTROL, idOf } from './names.ts';
import { storeError } from './transactions.ts';

type ShadowDocument = ShadowCount & { readonly _id: string };

const NONE: ShadowCount = { same: 0, pending: 0, confirmed: 0, failed: 0 };

/** Adds to the counts of the present epoch. */
export async function addShadow(db: Db, model: Model, found: ShadowCount): Promise<void> {
  const { same, pending, confirmed, failed } = found;
  const _id = await placeOf(db, model);
  try {
    const update = { $inc: { same, pending, confirmed, failed } };
    await db.collection<ShadowDocument>(CONTROL.shadow).updateOne({ _id }, update, { upsert: true });
  } catch (error) {
    throw storeError(error, `counting shadow comparisons of ${model.name}`);
  }
}

export async function readShadow(db: Db, model: Model): Promise<ShadowCount> {
  const _id = await placeOf(db, model);
  try {
    const found = await db.collection<ShadowDocument>(CONTROL.shadow).findOne({ _id }, { projection: { _id: 0 } });
    return { ...NONE, ...found };
  } catch (error) {
    throw storeError(error, `reading shadow comparisons of ${model.name}`);
  }
}

/** One document for each epoch, so that a change of control begins a new count. */
async function placeOf(db: Db, model: Model): Promise<string> {
  const control = await findControl(db, model);
  if (control === undefined) throw notCreated(model.name);
  return idOf(model, String(control.epoch));
}
