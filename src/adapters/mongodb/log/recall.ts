import type { LogBlock } from '../../../kernel/ports.ts';
import { POSITION_ZERO, type Position } from '../../../kernel/position.ts';
import { idKey } from '../bson/compare.ts';
import type { TouchedKeys } from '../verify/touched.ts';
import { eachChange } from './changes.ts';
import type { TrackedCollections } from './tracked.ts';

/**
 * Notes the keys that a stretch of the log changes, without applying it: how
 * a fresh process learns what changed since a proof that an earlier one made.
 * Looking at a key too many does no harm.
 */
export function recallTouched(
  block: LogBlock,
  upTo: Position,
  tracked: TrackedCollections,
  touched: TouchedKeys,
): void {
  eachChange(block, { after: POSITION_ZERO, upTo }, tracked, ({ collection, id, idType }) => {
    touched.add(collection, idKey(idType, id.buf, id.start, id.end), id, idType);
  });
}
