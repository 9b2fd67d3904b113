import { type CollectionSpec, type TrackedCollection, trackedOf } from '../../adapters/mongodb/index.ts';
import { laterOf, POSITION_ZERO, type Position } from '../../kernel/position.ts';
import { KEY, type RunContext } from './run-context.ts';

/** Where early applying stands: collection by UUID, and the position up to which its changes are applied. */
export type EarlyPositions = Readonly<Record<string, Position>>;

/** A collection as its copy left it, for whoever applies the log to it from `since` on. */
export function trackedCopy(
  { store }: Pick<RunContext, 'store'>,
  spec: CollectionSpec,
  target: TrackedCollection['target'],
  since: Position,
  early: EarlyPositions = {},
): TrackedCollection {
  const start = store.get<Position>(KEY.copyStart(spec.uuid)) ?? since;
  // Early applying ends at the first change of structure, which may lie before the copy of a collection began: what the
  // log says between the two must not be done again where order is meaning.
  return trackedOf(spec, target, laterOf(early[spec.uuid] ?? POSITION_ZERO, start));
}
