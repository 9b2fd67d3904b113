import { readCatalog } from '../../adapters/mongodb/index.ts';
import { GodwitError } from '../../kernel/errors.ts';
import { failpoint } from '../../kernel/failpoint.ts';
import type { Drift } from '../../kernel/ports.ts';
import { withRetry } from '../../kernel/retry.ts';
import type { FenceKind } from './api.ts';
import { openEntries } from './entries.ts';
import { makeFence } from './fences.ts';
import { deferAll, finishAll, reviveAll } from './finishing.ts';
import { setGeneration } from './generations.ts';
import type { Link } from './link.ts';
import { prove, proveLastChanges } from './proving.ts';
import { type CutoverRecord, KEY, type ProofRecord, type RollbackRecord, type RunContext } from './run-context.ts';
import { openLink, planTurn, sidesOf } from './sides.ts';

/**
 * Returns to the source after a switch: both sides are proved equal live, the
 * target is fenced, what was written there last is drained to the source and
 * proved, the source's indexes are finished, the address moves back, and the
 * source's users may write again. Until the address moves every failure leads
 * back to the target serving.
 */
export async function rollBack(run: RunContext): Promise<void> {
  const kind = run.store.get<CutoverRecord>(KEY.cutover)?.fence ?? 'none';
  // A crash after the flow had turned comes here again, with the flow to the target waiting for us.
  if (run.link?.generation.direction !== 'forward') await turnBack(run, kind);
  await serveAtSource(run, kind);
}

/** Up to the point of no return: the address is moved, and the flow leads to the target again. */
async function turnBack(run: RunContext, kind: FenceKind): Promise<void> {
  const { link } = run;
  if (link === undefined) throw new GodwitError('GW9001', 'A rollback without a flow back');
  const sides = sidesOf(run, 'reverse');
  // A crash after the target was fenced comes here again: then nobody may be kept waiting for a whole proof.
  if (run.store.phase === 'switched') {
    assertEqual(await prove(run, link, sides));
    run.store.enter('rolling-back', 'rollback-began');
  } else if (link.touched.overflowed.size > 0 || !isProved(run, link)) assertEqual(await prove(run, link, sides));
  const targetKind = await raiseAtTarget(run, kind);
  let turn: Awaited<ReturnType<typeof planTurn>>;
  try {
    failpoint('rollback.after-fence');
    await link.catchUp(run.signal);
    failpoint('rollback.after-drain');
    const catalog = await withRetry(run.retry(), () => readCatalog(sides.from, sides.selection, run.signal));
    await link.waitApplied(catalog.position, run.signal);
    await finishAll(run, sides, catalog, run.signal);
    assertEqual((await proveLastChanges(run, link, sides)).drift);
    await reviveAll(run, sides, catalog.collections, run.signal);
    turn = await planTurn(run, link.generation, 'forward');
    for (const entry of await openEntries(run)) await entry.unflip(run.signal);
  } catch (error) {
    if (run.signal.aborted) throw error;
    await undoRollBack(run, error, targetKind);
    throw error;
  }
  // A target that could not be fenced may have been written until the address moved.
  if (targetKind === 'none') await link.catchUp(run.signal);
  // The flow back ends here for good: what is done to the target from now on must not come to the source.
  await link.stop();
  run.store.commit(() => {
    setGeneration(run.store, turn.generation);
    run.store.set(turn.key, turn.checkpoint);
    run.store.set(KEY.rollback, { fence: targetKind } satisfies RollbackRecord);
  });
  run.link = await openLink(run, turn.generation);
  failpoint('rollback.after-switch');
}

/** Before the address moved: the target goes on serving, as if nothing had been tried. Idempotent. */
export async function undoRollBack(
  run: RunContext,
  why: unknown,
  targetKind: FenceKind = run.store.get<CutoverRecord>(KEY.cutover)?.fence ?? 'none',
): Promise<void> {
  for (const entry of await openEntries(run)) await entry.flip(run.signal);
  await lower(run, targetKind, 'target');
  run.store.enter('switched', 'rollback-undone', () =>
    run.store.event('rollback-undone', { reason: why instanceof Error ? why.message : String(why) }),
  );
}

/** Can be repeated from any point: the flow to the target is planned, but nothing moves in it yet. */
async function serveAtSource(run: RunContext, kind: FenceKind): Promise<void> {
  await lower(run, kind, 'source');
  await withRetry(run.retry(), () => deferAll(run, run.signal));
  await lower(run, run.store.get<RollbackRecord>(KEY.rollback)?.fence ?? kind, 'target');
  failpoint('rollback.before-done');
  run.store.enter('rolled-back', 'rolled-back');
}

/** The same fence as at the source, or none where the target has nobody whom it could hold. */
async function raiseAtTarget(run: RunContext, kind: FenceKind): Promise<FenceKind> {
  try {
    await makeFence(run, kind, 'target').raise(run.signal);
    return kind;
  } catch (error) {
    if (!(error instanceof GodwitError) || error.code !== 'GW7004') throw error;
    run.store.event('rollback-unfenced', { reason: error.message });
    return 'none';
  }
}

function isProved(run: RunContext, link: Link): boolean {
  const proof = run.store.get<ProofRecord>(KEY.proof);
  return proof?.state === 'equal' && proof.generation === link.generation.number;
}

function assertEqual(drift: readonly Drift[]): void {
  if (drift.length === 0) return;
  throw new GodwitError(
    'GW6001',
    `${drift.length} differences between target and source; the address was not moved back`,
    {
      details: { drift: drift.length },
    },
  );
}

async function lower(run: RunContext, kind: FenceKind, side: 'source' | 'target'): Promise<void> {
  await withRetry(run.retry(), () => makeFence(run, kind, side).lower(run.signal));
}
