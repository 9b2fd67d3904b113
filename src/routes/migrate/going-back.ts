import { failpoint } from '../../kernel/failpoint.ts';
import { GodwitError } from '../../kernel/errors.ts';
import { withRetry } from '../../kernel/retry.ts';
import type { FenceKind } from './api.ts';
import { openEntries } from './entries.ts';
import { makeFence } from './fences.ts';
import { setGeneration } from './generations.ts';
import { prove } from './proving.ts';
import { type CutoverRecord, KEY, type RunContext } from './run-context.ts';
import { planTurn, sidesOf } from './sides.ts';

/**
 * Returns to the source after a switch: the target is fenced, what was written
 * there is drained to the source, the address moves back, and the source's
 * users may write again. Every step may be repeated after a crash.
 */
export async function rollBack(run: RunContext): Promise<void> {
  if (!run.link || run.link.generation.direction !== 'reverse') throw new GodwitError('GW9001', 'A rollback without a flow back');
  if (run.store.phase === 'switched') run.store.enter('rolling-back', 'rollback-began');
  const { link } = run;
  const kind = run.store.get<CutoverRecord>(KEY.cutover)?.fence ?? 'none';
  const targetFence = makeFence(run, kind, 'target');
  await targetFence.raise(run.signal);
  failpoint('rollback.after-fence');
  await link.catchUp(run.signal);
  failpoint('rollback.after-drain');
  const drift = await prove(run, link, sidesOf(run, 'reverse'));
  if (drift.length > 0) {
    throw new GodwitError('GW6001', `${drift.length} differences between target and source; the address was not moved back`, {
      details: { drift: drift.length },
    });
  }
  await link.catchUp(run.signal);
  const turn = await planTurn(run, link.generation, 'forward');
  for (const entry of await openEntries(run)) await entry.unflip(run.signal);
  failpoint('rollback.after-switch');
  await lower(run, kind, 'source');
  await lower(run, kind, 'target');
  failpoint('rollback.before-done');
  run.store.enter('rolled-back', 'rolled-back', () => {
    setGeneration(run.store, turn.generation);
    run.store.set(turn.key, turn.checkpoint);
  });
}

async function lower(run: RunContext, kind: FenceKind, side: 'source' | 'target'): Promise<void> {
  await withRetry(run.retry(), () => makeFence(run, kind, side).lower(run.signal));
}
