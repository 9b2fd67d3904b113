import { GodwitError } from '../../../kernel/errors.ts';
import type { Model } from '../../../kernel/remodel/index.ts';

/** The list that the inverse policy is about; undefined when there is none. */
export function blockedList(model: Model): string | undefined {
  return model.inverse.list ?? model.lists[0];
}

/** With the policy `block`, refuses what the old model has no room for. */
export function refuseMany(model: Model, rows: number): void {
  if (model.inverse.policy !== 'block' || rows <= 1) return;
  throw new GodwitError(
    'GW5005',
    `Remodel ${model.name}: this write leaves ${rows} rows in ${blockedList(model)}, and the old table holds one`,
    { details: { rows } },
  );
}
