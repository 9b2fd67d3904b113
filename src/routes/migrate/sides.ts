import {
  type ApplierMemory,
  type Cluster,
  logForgets,
  makeSelection,
  type OplogSource,
  readCatalog,
  type Selection,
  trackedOf,
} from '../../adapters/mongodb/index.ts';
import type { ApplyCheckpoint } from '../../kernel/apply.ts';
import { withRetry } from '../../kernel/retry.ts';
import { Throttle } from '../../kernel/throttle.ts';
import { KeptSource } from './kept-source.ts';
import { checkpointKey, type Generation, Link } from './link.ts';
import { reversedChoice } from './plan.ts';
import type { RunContext } from './run-context.ts';
import { GatedSource } from './sync/gate.ts';
import { Rounds } from './sync/rounds.ts';

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

/** Opens the flow of a generation. Nothing moves until it is started; `run.rounds` are the rounds it moves in, if any. */
export async function openLink(run: RunContext, generation: Generation): Promise<Link> {
  const { options, store, clock } = run;
  const forward = generation.direction === 'forward';
  const sides = sidesOf(run, generation.direction);
  const readFrom = forward ? run.readFrom : 'primary';
  const budget = new Throttle(clock);
  if (options.syncMaxMbps) budget.limit(options.syncMaxMbps * 1e6, `--sync-max-mbps ${options.syncMaxMbps}`);
  let gate: GatedSource | undefined;
  const link = await Link.open({
    generation,
    ...sides,
    store,
    readFrom,
    applyLanes: options.applyLanes,
    clock,
    retryForMs: options.retryForSeconds * 1000,
    onFault: run.onFault,
    gate: run.gate,
    isIdle: () => gate !== undefined && !gate.isOpen,
    openSource: (server) => {
      const source = forward && options.spool ? keptSource(run, server, options.spool) : server;
      if (!forward || !options.sync) return source;
      gate = new GatedSource(source, budget);
      run.rounds = new Rounds({
        schedule: options.sync,
        hours: options.syncHours,
        gate,
        flow: link,
        store,
        clock,
        signal: run.signal,
        backlog: (after) => server.backlog(after),
        forgets: (position) => logForgets(sides.from, position),
      });
      // While the copy lasts, or a resync, nothing of the log may be missed.
      if (store.phase === 'copying' || store.phase === 'resyncing') gate.open();
      return gate;
    },
  });
  return link;
}

function keptSource(run: RunContext, server: OplogSource, dir: string): KeptSource {
  const { plan, clock, store } = run;
  return new KeptSource({ server, dir, plan, clock, onSwitch: (kind, data) => store.event(kind, data) });
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
