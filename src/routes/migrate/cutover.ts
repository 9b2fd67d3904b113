import { type Catalog, copyUsersAndRoles, expires, readCatalog } from '../../adapters/mongodb/index.ts';
import { GodwitError } from '../../kernel/errors.ts';
import { failpoint } from '../../kernel/failpoint.ts';
import type { Entry, Fence } from '../../kernel/ports.ts';
import type { Position } from '../../kernel/position.ts';
import { withRetry } from '../../kernel/retry.ts';
import type { FenceKind } from './api.ts';
import { openEntries } from './entries.ts';
import { chooseFence, makeFence } from './fences.ts';
import { deferAll, finishAll, reviveAll } from './finishing.ts';
import { previousGeneration, setGeneration } from './generations.ts';
import type { Link } from './link.ts';
import { prove, proveLastChanges, proveTouched } from './proving.ts';
import { type CutoverRecord, KEY, type RunContext } from './run-context.ts';
import { planTurn, sidesOf } from './sides.ts';

/** The lag at which a cutover begins: the stall is about this long. */
const SMALL_LAG_SECONDS = 2;
const SMALL_LAG_WAIT_MS = 120_000;
const OVERFLOW_ROUNDS = 3;
const EXPIRY_LOOKS = 5;
/** Collections finished at once. */

/**
 * Moves the business to the target: fence, drain, finish, prove, switch.
 * Until the switch every failure, and every crash, leads back to the source
 * serving as before; from the switch on, a crash leads forward.
 */
export async function cutOver(run: RunContext): Promise<{ stallMs: number }> {
  const link = requireLink(run);
  const entries = await openEntries(run);
  for (const entry of entries) await entry.check(run.signal);
  const { kind } = await chooseFence(run, 'source');
  const fence = makeFence(run, kind, 'source');
  await bringUpToDate(run, link);

  run.store.enter('fencing', 'cutover-began', () =>
    run.store.set(KEY.cutover, { fence: kind } satisfies CutoverRecord),
  );
  failpoint('cutover.after-plan');
  const stall = new AbortController();
  const timer = setTimeout(() => stall.abort(tooSlow(run)), run.options.maxStallSeconds * 1000);
  const signal = AbortSignal.any([run.signal, stall.signal]);
  const raisedAtMs = run.clock.now();
  try {
    const fencePosition = await raiseAndDrain(run, link, fence, kind, raisedAtMs, signal);
    await finish(run, link, fencePosition, signal);
    await planSwitch(run, link);
  } catch (error) {
    clearTimeout(timer);
    await undo(run, fence, error);
    throw stall.signal.aborted && !run.signal.aborted ? stall.signal.reason : error;
  }
  clearTimeout(timer);
  await flip(run, entries, fence);
  return completeSwitch(run, raisedAtMs);
}

/** Goes on after a crash in the middle of a cutover. */
export async function recoverCutover(run: RunContext): Promise<void> {
  const record = run.store.get<CutoverRecord>(KEY.cutover);
  const fence = makeFence(run, record?.fence ?? 'none', 'source');
  const { phase } = run.store;
  if (phase === 'fencing' || phase === 'draining' || phase === 'unfencing') {
    await undo(run, fence, new GodwitError('GW8001', 'The process ended during the cutover'));
  }
  if (phase === 'switching') {
    await flip(run, await openEntries(run), fence);
    await completeSwitch(run, record?.raisedAtMs ?? run.clock.now());
  }
}

/** Everything that can be done before anyone is stopped is done before. */
async function bringUpToDate(run: RunContext, link: Link): Promise<void> {
  const sides = sidesOf(run, 'forward');
  if (run.store.phase !== 'verified' || link.touched.overflowed.size > 0) {
    for (let round = 0; ; round += 1) {
      const only = round > 0 ? new Set(link.touched.overflowed) : undefined;
      const drift = await prove(run, link, sides, { only });
      if (drift.length > 0) throw differs(drift.length);
      if (link.touched.overflowed.size === 0 || round >= OVERFLOW_ROUNDS) break;
    }
  }
  if (run.options.withUsers) await copyUsers(run);
  const drift = await proveTouched(run, link, sides);
  if (drift.length > 0) throw differs(drift.length);
  const deadline = run.clock.now() + SMALL_LAG_WAIT_MS;
  for (;;) {
    const began = run.clock.now();
    await link.catchUp(run.signal);
    if (run.clock.now() - began < SMALL_LAG_SECONDS * 1000) return;
    if (run.clock.now() > deadline) {
      throw new GodwitError('GW7006', 'The target does not keep up closely enough to begin; nothing was fenced', {
        details: { lagSeconds: link.lagSeconds ?? null },
      });
    }
  }
}

/** Before the fence, which takes from the users what they are to have at the target. */
async function copyUsers(run: RunContext): Promise<void> {
  const rename = (db: string) => run.selection.target(db, '').db;
  const copied = await withRetry(run.retry(), () =>
    copyUsersAndRoles(run.source, run.target, run.selection, rename, run.signal),
  );
  run.store.event('users-copied', { ...copied });
}

async function raiseAndDrain(
  run: RunContext,
  link: Link,
  fence: Fence,
  kind: FenceKind,
  raisedAtMs: number,
  signal: AbortSignal,
): Promise<Position> {
  run.store.set(KEY.cutover, { fence: kind, raisedAtMs } satisfies CutoverRecord);
  await fence.raise(signal);
  run.store.event('fence-raised', { fence: kind });
  failpoint('cutover.after-fence');
  const fencePosition = await link.mark(signal);
  run.store.enter('draining', 'fenced', () =>
    run.store.set(KEY.cutover, { fence: kind, raisedAtMs, fencePosition } satisfies CutoverRecord),
  );
  await link.waitApplied(fencePosition, signal);
  failpoint('cutover.after-drain');
  return fencePosition;
}

/** Indexes and views become what they are at the source, and what changed last is proved. */
async function finish(run: RunContext, link: Link, fencePosition: Position, signal: AbortSignal): Promise<void> {
  const { selection } = run;
  const catalog = await withRetry(run.retry(signal), () => readCatalog(run.source, selection, signal));
  await link.waitApplied(catalog.position, signal);
  await finishAll(run, sidesOf(run, 'forward'), catalog, signal);
  failpoint('cutover.after-finish');
  await link.catchUp(signal);
  const expiring = new Set(catalog.collections.filter(expires).map((spec) => `${spec.db}.${spec.name}`));
  let { drift, keys } = await proveLastChanges(run, link, sidesOf(run, 'forward'));
  // The source goes on expiring documents behind the fence; the log has it a moment later.
  for (
    let look = 1;
    look < EXPIRY_LOOKS && drift.some(({ unit, kind }) => kind === 'extra' && expiring.has(unit));
    look += 1
  ) {
    await link.catchUp(signal);
    ({ drift, keys } = await proveLastChanges(run, link, sidesOf(run, 'forward')));
  }
  run.store.event('last-changes-proved', { keys, drift: drift.length });
  if (drift.length > 0) {
    run.store.clearDrift();
    run.store.putDrift(drift);
    throw differs(drift.length);
  }
  await link.catchUp(signal);
  assertNoSlip(link, catalog, fencePosition);
  await reviveAll(run, sidesOf(run, 'forward'), catalog.collections, signal);
}

/** A write after the fence means that somebody still writes: switching would lose what comes next. */
function assertNoSlip(link: Link, catalog: Catalog, fencePosition: Position): void {
  const expiring = new Set(catalog.collections.filter(expires).map((spec) => `${spec.db}.${spec.name}`));
  const deletes = [...link.seen.deletes]
    .filter(([namespace]) => !expiring.has(namespace))
    .map(([namespace, position]) => ({ namespace, position }));
  const late = [...deletes, ...(link.seen.newest ? [link.seen.newest] : [])].find(
    ({ position }) => position > fencePosition,
  );
  if (!late) return;
  throw new GodwitError(
    'GW7002',
    `${late.namespace} was written after the fence went up, at log position ${late.position}`,
    {
      details: {
        namespace: late.namespace,
        position: late.position,
        at: new Date(Number.parseInt(late.position.slice(0, 8), 16) * 1000).toISOString(),
      },
    },
  );
}

async function planSwitch(run: RunContext, link: Link): Promise<void> {
  const { generation, checkpoint, key } = await planTurn(run, link.generation, 'reverse');
  run.store.enter('switching', 'drained', () => {
    setGeneration(run.store, generation);
    run.store.set(key, checkpoint);
  });
  failpoint('cutover.before-switch');
}

async function flip(run: RunContext, entries: readonly Entry[], fence: Fence): Promise<void> {
  const flipped: Entry[] = [];
  try {
    for (const entry of entries) {
      flipped.push(entry);
      await entry.flip(run.signal);
    }
  } catch (error) {
    for (const entry of flipped.reverse()) await entry.unflip(run.signal);
    // The direction has not turned: the flow before goes on.
    await undo(run, fence, error, () => setGeneration(run.store, previousGeneration(run.store)));
    throw error;
  }
  failpoint('cutover.after-switch');
}

async function completeSwitch(run: RunContext, raisedAtMs: number): Promise<{ stallMs: number }> {
  const stallMs = run.clock.now() - raisedAtMs;
  const record = run.store.get<CutoverRecord>(KEY.cutover) as CutoverRecord;
  run.store.enter('switched', 'switched', () =>
    run.store.set(KEY.cutover, {
      ...record,
      stallMs,
      switchedAt: new Date(run.clock.now()).toISOString(),
    } satisfies CutoverRecord),
  );
  return { stallMs };
}

/** Before the switch: the source serves again, as if nothing had been tried. */
async function undo(run: RunContext, fence: Fence, why: unknown, work?: () => void): Promise<void> {
  if (run.store.phase !== 'unfencing') run.store.enter('unfencing', 'cutover-undone', work);
  run.store.event('cutover-undone', { reason: why instanceof Error ? why.message : String(why) });
  const calm = new AbortController();
  await withRetry(run.retry(calm.signal), () => fence.lower(calm.signal));
  await withRetry(run.retry(calm.signal), () => deferAll(run, calm.signal));
  run.store.enter('following', 'fence-lowered');
}

function requireLink(run: RunContext): Link {
  if (!run.link) throw new GodwitError('GW9001', 'A cutover without a flow of changes');
  return run.link;
}

function differs(count: number): GodwitError {
  return new GodwitError(
    'GW6001',
    `${count} ${count === 1 ? 'difference' : 'differences'} between source and target; nothing was switched`,
    {
      details: { drift: count },
    },
  );
}

function tooSlow(run: RunContext): GodwitError {
  return new GodwitError(
    'GW7006',
    `Draining took longer than ${run.options.maxStallSeconds} s; the fence was lowered again`,
    {
      details: { maxStallSeconds: run.options.maxStallSeconds },
    },
  );
}
