import {
  type ApplierMemory,
  type Cluster,
  makeSelection,
  readCatalog,
  type Selection,
  trackedOf,
} from '../../adapters/mongodb/index.ts';
import type { ApplyCheckpoint } from '../../kernel/apply.ts';
import { withRetry } from '../../kernel/retry.ts';
import { checkpointKey, type Generation, Link } from './link.ts';
import { reversedChoice } from './plan.ts';
import type { RunContext } from './run-context.ts';

/** The two ends of a flow, and the choice of namespaces as seen from its beginning. */
export interface Sides {
  readonly from: Cluster;
  readonly to: Cluster;
  readonly selection: Selection;
}

/** Source to target, or back. */
export function sidesOf(run: RunContext, direction: Generation['direction']): Sides {
  if (direction === 'forward') return { from: run.source, to: run.target, selection: run.selection };
  const { include, exclude, rename } = reversedChoice(run.plan);
  return { from: run.target, to: run.source, selection: makeSelection(include, exclude, rename) };
}

/** Opens the flow of a generation. Nothing moves until it is started. */
export async function openLink(run: RunContext, generation: Generation): Promise<Link> {
  const sides = sidesOf(run, generation.direction);
  return Link.open({
    generation,
    ...sides,
    store: run.store,
    readFrom: generation.direction === 'forward' ? run.readFrom : 'primary',
    applyLanes: run.options.applyLanes,
    clock: run.clock,
    retryForMs: run.options.retryForSeconds * 1000,
    onFault: run.onFault,
    gate: run.gate,
  });
}

/**
 * Plans the next generation while both sides are equal and still: everything
 * written from now on at its beginning will flow to its end.
 */
export async function planTurn(
  run: RunContext,
  last: Generation,
  direction: Generation['direction'],
): Promise<{ generation: Generation; checkpoint: ApplyCheckpoint; key: string }> {
  const { from, selection } = sidesOf(run, direction);
  const catalog = await withRetry(run.retry(), () => readCatalog(from, selection, run.signal));
  const generation: Generation = {
    number: last.number + 1,
    direction,
    start: catalog.position,
    structureAsOf: catalog.position,
  };
  const memory: ApplierMemory = {
    collections: catalog.collections.map((spec) =>
      trackedOf(spec, selection.target(spec.db, spec.name), catalog.position),
    ),
    transactions: [],
  };
  const checkpoint: ApplyCheckpoint = { position: catalog.position, restartFrom: catalog.position, entries: 0, memory };
  return { generation, checkpoint, key: checkpointKey(generation.number) };
}
