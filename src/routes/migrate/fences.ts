import { availableFences, openFence } from '../../adapters/mongodb/index.ts';
import { GodwitError } from '../../kernel/errors.ts';
import type { Fence } from '../../kernel/ports.ts';
import type { FenceKind } from './api.ts';
import type { RunContext } from './run-context.ts';
import { sidesOf } from './sides.ts';

type Side = 'source' | 'target';

/** The fence of the options, or the narrowest that works here. */
export async function chooseFence(run: RunContext, side: Side): Promise<{ kind: FenceKind; reason: string }> {
  const asked = run.options.fence;
  if (asked === 'entry') {
    throw new GodwitError('GW7004', 'No entry of this run can hold requests; use --fence roles, write-block or none');
  }
  if (asked) return { kind: asked, reason: 'asked for by --fence' };
  const offers = await availableFences(fenceContext(run, side));
  const roles = offers.find((offer) => offer.kind === 'roles');
  if (roles?.ok) return { kind: 'roles', reason: roles.reason };
  throw new GodwitError(
    'GW7004',
    `No narrow fence works here (${roles?.reason ?? 'roles: unknown'}). Stop the writers yourself and say --fence none, or use --fence write-block`,
  );
}

/** The fence on one side, with its own memory. */
export function makeFence(run: RunContext, kind: FenceKind, side: Side): Fence {
  if (kind === 'entry') throw new GodwitError('GW7004', 'No entry of this run can hold requests');
  return openFence(kind, fenceContext(run, side));
}

function fenceContext(run: RunContext, side: Side) {
  const sides = sidesOf(run, side === 'source' ? 'forward' : 'reverse');
  return {
    cluster: sides.from,
    selection: sides.selection,
    runName: run.store.run,
    allowWholeCluster: run.options.fenceWholeCluster,
    memory: {
      get: <T>(key: string) => run.store.get<T>(`fence.${side}.${key}`),
      set: (key: string, value: unknown) => run.store.set(`fence.${side}.${key}`, value),
    },
  };
}
