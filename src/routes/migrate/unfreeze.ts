import { Cluster, releaseLeftLock } from '../../adapters/mongodb/index.ts';
import { GodwitError } from '../../kernel/errors.ts';
import { acquireRunLock, RunStore } from '../../state/index.ts';
import type { CommandResult } from './api.ts';
import { journalOf } from './freezing.ts';
import type { RunPlan } from './plan.ts';

/** `migrate unfreeze` while nothing runs the run: takes away the lock that its journal says may be left. */
export async function unfreeze(
  options: { readonly from: string; readonly state: string; readonly run: string },
  signal: AbortSignal,
): Promise<CommandResult> {
  const lock = acquireRunLock(options.state, options.run);
  try {
    const store = RunStore.open(options.state, options.run);
    try {
      const source = await Cluster.connect('source', options.from);
      try {
        return await unlock(store, source, signal);
      } finally {
        await source.close();
      }
    } finally {
      store.close();
    }
  } finally {
    lock.release();
  }
}

async function unlock(store: RunStore, source: Cluster, signal: AbortSignal): Promise<CommandResult> {
  const plan = store.plan<RunPlan>();
  if ((await source.identity()) !== plan.sourceId) {
    throw new GodwitError('GW1003', `--from is another replica set than ${plan.from}`, { details: { run: store.run } });
  }
  const why = 'migrate unfreeze';
  const left = await releaseLeftLock(source, journalOf(store), { atOnce: true, why, signal });
  if (left) store.event('member-released', { member: left.address, why, unlocked: left.unlocked });
  return {
    version: 1,
    command: 'unfreeze',
    run: store.run,
    phase: store.phase,
    already: left === undefined || !left.unlocked,
    message: left === undefined ? 'This run has locked nothing that was not let go again' : sentence(left),
  };
}

function sentence({ address, unlocked, others }: { address: string; unlocked: boolean; others: number }): string {
  if (!unlocked) return `${address} was not locked any more`;
  const rest = others === 0 ? '' : `; it stays locked ${others === 1 ? 'by one lock' : `by ${others} locks`} of others`;
  return `${address} is unlocked${rest}`;
}
