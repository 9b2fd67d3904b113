import { controlThrottle, learnBaseline, NeighbourLoad } from '../../adapters/mongodb/index.ts';
import type { RunContext } from './run-context.ts';

const FIRST_LOOK_MS = 400;
const LOOK_EVERY_MS = 1_000;
/** Fewer operations a second are nobody's business traffic. */
const QUIET_OPS_PER_SECOND = 2;

/**
 * Slows the copy down by what it does to others on the source. Where others
 * are at work, their latency without us is learned before the copy begins;
 * where nobody is, the copy starts at once and they are looked out for.
 */
export async function watchNeighbours(run: RunContext): Promise<{ stop(): Promise<void> }> {
  if (run.options.throttle === 'off') return { stop: () => Promise.resolve() };
  const over = new AbortController();
  const signal = AbortSignal.any([run.signal, over.signal]);
  const load = new NeighbourLoad(run.source, run.selection, () => run.clock.now());
  const sample = () => load.sample();
  const watch = { sample, clock: run.clock, signal };
  const limits = {
    limit: run.options.neighbourLatencyLimit,
    maxBytesPerSecond: run.options.maxMbps === undefined ? undefined : run.options.maxMbps * 1e6,
  };
  const isQuiet = async (waitMs: number) => {
    await run.clock.sleep(waitMs, signal);
    // A member that does not answer now says nothing about its load.
    const seen = await sample().catch(() => undefined);
    return seen === undefined || seen.reads.ops + seen.writes.ops < QUIET_OPS_PER_SECOND * Math.max(seen.seconds, 0.1);
  };
  await sample().catch(() => undefined);
  const quiet = await isQuiet(FIRST_LOOK_MS);
  run.waitingFor = quiet
    ? undefined
    : 'learning how fast the neighbours are without us; the copy begins in a few seconds';
  const baseline = quiet ? undefined : await learnBaseline(watch);
  run.waitingFor = undefined;
  const watching = (async () => {
    if (quiet) while (!signal.aborted && (await isQuiet(LOOK_EVERY_MS)));
    if (!signal.aborted)
      await controlThrottle({
        ...watch,
        ...limits,
        throttle: run.throttle,
        baseline,
        copied: () => run.meter.copyBytes,
      });
  })().catch((error) =>
    run.store.event('throttle-off', { reason: error instanceof Error ? error.message : String(error) }),
  );
  return {
    stop: async () => {
      over.abort();
      await watching;
    },
  };
}
