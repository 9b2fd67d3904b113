/** `--freeze`: a member of the source stands still at the first time point while it is copied. */
import { join } from 'node:path';
import {
  type Catalog,
  clusterTime,
  type FrozenMember,
  freezeSecondary,
  openLock,
  readCatalogAt,
  releasedAt,
  releaseLeftLock,
  secondsOf,
  watchCatchUp,
} from '../../adapters/mongodb/index.ts';
import { GodwitError } from '../../kernel/errors.ts';
import { failpoint } from '../../kernel/failpoint.ts';
import type { Position } from '../../kernel/position.ts';
import { withRetry } from '../../kernel/retry.ts';
import type { RunStore } from '../../state/index.ts';
import type { FreezeStatus } from './api.ts';
import { KEY, type RunContext } from './run-context.ts';

/** What is kept of the latest freeze. */
interface FreezeRecord {
  readonly member: string;
  readonly timePoint: Position;
  readonly lockedAtMs: number;
  readonly state: FreezeStatus['state'];
  readonly releasedAtMs?: number;
  readonly behindSeconds?: number;
  readonly caughtUpSeconds?: number;
  readonly cutShort?: string;
}

/** As of which time points chunks were read. */
export interface ReadRecord {
  /** Some were read from a member that went on. */
  readonly live: boolean;
  /** The newest time point that a member stood still at. */
  readonly latest: Position | null;
}

const READ_KEY = 'freeze.read';
const ATTEMPTS = 5;
const ENDED = 'Godwit ended';

/** Where the locks of a run are written down. */
export function journalOf(store: RunStore): string {
  return join(store.paths.dir, 'freeze.journal');
}

/** Makes a member stand still, unless one does or none is asked for. */
export async function freezeForCopy(run: RunContext): Promise<FrozenMember | undefined> {
  const { freeze } = run.options;
  if (freeze === undefined) return undefined;
  if (run.frozen?.isHeld) return run.frozen;
  await letCatchUp(run, freeze);
  run.frozen = await withRetry(run.retry(), () =>
    freezeSecondary({
      cluster: run.source,
      ...(freeze === 'secondary' ? {} : { member: freeze }),
      journal: journalOf(run.store),
      signal: run.signal,
      onEvent: (kind, data) => run.store.event(kind, data),
    }),
  );
  const { address, timePoint, lockedAtMs } = run.frozen;
  keep(run.store, { member: address, timePoint, lockedAtMs, state: 'held' });
  return run.frozen;
}

/** The member that stood still before, also for a process that was killed, would be refused for being behind. */
async function letCatchUp(run: RunContext, freeze: string): Promise<void> {
  const before = record(run.store);
  if (!before || before.state === 'caught-up' || !run.caughtUp) return;
  if (freeze !== 'secondary' && freeze !== before.member) return;
  run.waitingFor = `${before.member} stood still and catches up; then the copy goes on`;
  const over = new AbortController();
  const patience = run.clock.sleep(run.options.retryForSeconds * 1000, AbortSignal.any([run.signal, over.signal]));
  await Promise.race([run.caughtUp, patience]);
  over.abort();
  run.waitingFor = undefined;
}

/** Makes a member stand still where its structure is exactly that of its time point, and lists it. */
export async function freezeWithCatalog(
  run: RunContext,
): Promise<{ frozen: FrozenMember; catalog: Catalog } | undefined> {
  for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
    const frozen = await freezeForCopy(run);
    if (frozen === undefined) return undefined;
    const catalog = await withRetry(run.retry(), async () => {
      const connection = await frozen.connect(run.signal);
      try {
        return await readCatalogAt(connection, run.selection, frozen.timePoint);
      } finally {
        connection.close();
      }
    });
    if (catalog !== undefined) return { frozen, catalog };
    await frozen.release('a change of structure was being made at that moment');
  }
  throw new GodwitError('GW7010', 'The structure changes all the time; no member could be stopped between two changes');
}

/** Lets the member go on, if one is held, and watches it catch up beside everything else. */
export async function letGo(run: RunContext, why: string, cutShort: boolean): Promise<void> {
  const { frozen } = run;
  if (!frozen) return;
  // Whoever began it tells how it ended; nobody goes on, or closes the run, before it has.
  if (!frozen.isHeld) return frozen.release(why).catch(() => undefined);
  await frozen.release(why);
  noteRelease(run.store, cutShort ? why : undefined);
  watchReleased(run);
}

/** A watchdog, a guard or a person ended it: told once, by whoever meets it first. */
export function noteLost(run: RunContext): void {
  const why = run.frozen?.lost;
  if (why === undefined || record(run.store)?.state !== 'held') return;
  noteRelease(run.store, why);
  watchReleased(run);
}

function noteRelease(store: RunStore, cutShort: string | undefined): void {
  const held = record(store);
  if (held?.state !== 'held') return;
  keep(store, { ...held, state: 'catching-up', releasedAtMs: releasedMs(store), ...(cutShort ? { cutShort } : {}) });
}

/** Unlocks what an earlier process of this run left locked; to be called before anything else is done. */
export async function settleLeftFreeze(run: RunContext): Promise<void> {
  const left = await releaseLeftLock(run.source, journalOf(run.store), {
    atOnce: false,
    why: 'the next process of the run took over',
    signal: run.signal,
  });
  if (left) run.store.event('member-released', { member: left.address, why: 'its Godwit had ended', ...left });
  const held = record(run.store);
  if (held?.state === 'held') noteRelease(run.store, ENDED);
  if (held && held.state !== 'caught-up') watchReleased(run);
}

/** Follows how the member catches up, beside everything else. */
function watchReleased(run: RunContext): void {
  const { store } = run;
  const released = record(store);
  if (!released) return;
  run.caughtUp = watchCatchUp(run.source, released.member, run.signal, ({ behindSeconds, done }) => {
    const seconds = Math.round((Date.now() - (released.releasedAtMs ?? Date.now())) / 100) / 10;
    const before = record(store) as FreezeRecord;
    if (before.lockedAtMs !== released.lockedAtMs) return;
    if (!done) return keep(store, { ...before, behindSeconds: finite(behindSeconds) });
    keep(store, { ...before, state: 'caught-up', behindSeconds: finite(behindSeconds), caughtUpSeconds: seconds });
    store.event('member-caught-up', { member: released.member, seconds });
    failpoint('freeze.caught-up');
  }).catch((error) => {
    if (!run.signal.aborted) store.event('fault', { message: `watching ${released.member}: ${String(error.message)}` });
  });
}

function finite(seconds: number): number {
  return Number.isFinite(seconds) ? seconds : 0;
}

/** Remembers as of when a chunk is read, before it is. */
export function noteRead(store: RunStore, timePoint: Position | undefined): void {
  const before = readRecord(store);
  const latest = timePoint !== undefined && timePoint > (before.latest ?? '') ? timePoint : before.latest;
  const now: ReadRecord = { live: before.live || timePoint === undefined, latest };
  if (now.live !== before.live || now.latest !== before.latest) store.set(READ_KEY, now);
}

export function readRecord(store: RunStore): ReadRecord {
  return store.get<ReadRecord>(READ_KEY) ?? { live: false, latest: null };
}

/** Whether all that was read is as of the first time point. */
export function isExact(store: RunStore, firstTimePoint: Position | undefined): boolean {
  const { live, latest } = readRecord(store);
  return !live && latest !== null && latest === firstTimePoint;
}

/** The freeze as people see it; `isRunning`: a process runs the run and knows best. */
export function freezeStatus(
  store: RunStore,
  firstTimePoint: Position | undefined,
  now: { readonly ms: number; readonly isRunning: boolean },
): FreezeStatus | null {
  let held = record(store);
  if (!held) return null;
  // Its process has ended: what the watchdog did then is in the journal only.
  if (held.state === 'held' && !now.isRunning && openLock(journalOf(store)) === undefined)
    held = { ...held, state: 'catching-up', releasedAtMs: releasedMs(store), cutShort: ENDED };
  return {
    member: held.member,
    state: held.state,
    timePoint: clusterTime(held.timePoint),
    timePointAt: new Date(secondsOf(held.timePoint) * 1000).toISOString(),
    lockedAt: new Date(held.lockedAtMs).toISOString(),
    heldSeconds: Math.round(((held.releasedAtMs ?? now.ms) - held.lockedAtMs) / 100) / 10,
    behindSeconds: held.behindSeconds ?? null,
    caughtUpSeconds: held.caughtUpSeconds ?? null,
    exact: isExact(store, firstTimePoint),
    cutShort: held.cutShort ?? null,
  };
}

/** When the lock ended, by the journal: a watchdog may have been first. */
function releasedMs(store: RunStore): number {
  const at = releasedAt(journalOf(store));
  return at === undefined ? Date.now() : Date.parse(at);
}

function record(store: RunStore): FreezeRecord | undefined {
  return store.get<FreezeRecord>(KEY.freeze);
}

function keep(store: RunStore, value: FreezeRecord): void {
  store.set(KEY.freeze, value);
}
