/** What tells that the remodel hurts: measured by writes of our own that are rolled back, and by what waits. */
import { GodwitError, isAborted } from '../../../kernel/errors.ts';
import type { Tools } from './tools.ts';

export interface Rails {
  /** Milliseconds of a write of both models; undefined when the probe failed. */
  readonly writeP50Ms: number | undefined;
  readonly writeP99Ms: number | undefined;
  /** Code of the failure of the probe. */
  readonly failure: string | undefined;
  /** Age of the oldest change not yet in the old table. */
  readonly lagMs: number;
  readonly quarantined: number;
  readonly lockWaits: number;
}

export async function probe(tools: Tools): Promise<Rails> {
  const { store, admin, model, options } = tools;
  const [backlog, lockWaits] = [await store.backlog(model), await admin.lockWaits(model)];
  const waiting = { lagMs: backlog.pending === 0 ? 0 : backlog.oldestMs, quarantined: backlog.quarantined, lockWaits };
  try {
    const impact = await store.measure(model, options.samples);
    return { writeP50Ms: impact.dualP50Ms, writeP99Ms: impact.dualP99Ms, failure: undefined, ...waiting };
  } catch (error) {
    if (isAborted(error) || !(error instanceof GodwitError)) throw error;
    return { writeP50Ms: undefined, writeP99Ms: undefined, failure: error.code, ...waiting };
  }
}

export interface RailLimits {
  /** How many times the first latency seen writes may take. */
  readonly latencyLimit: number;
  readonly lagLimitMs: number;
}

/** Below this a slower write is noise of the machine, not our doing. */
const NOISE_MS = 2;

/** Two writers of one identity wait for each other all the time; this many at one moment is a jam. */
const MOST_LOCK_WAITS = 8;

/** What is wrong, in words; empty when all is well. Pure. */
export function complaints(rails: Rails, baselineP50Ms: number | undefined, limits: RailLimits): readonly string[] {
  const said: string[] = [];
  const { writeP50Ms, failure, lagMs, quarantined, lockWaits } = rails;
  if (failure !== undefined) said.push(`a sampled write failed with ${failure}`);
  if (writeP50Ms !== undefined && baselineP50Ms !== undefined) {
    const most = Math.max(baselineP50Ms * limits.latencyLimit, baselineP50Ms + NOISE_MS);
    if (writeP50Ms > most) said.push(`a write takes ${writeP50Ms.toFixed(1)} ms, limit ${most.toFixed(1)} ms`);
  }
  if (lagMs > limits.lagLimitMs)
    said.push(`the old table is ${Math.round(lagMs)} ms behind, limit ${limits.lagLimitMs} ms`);
  if (quarantined > 0) said.push(`${quarantined} identities are in quarantine`);
  if (lockWaits > MOST_LOCK_WAITS) said.push(`${lockWaits} sessions wait for a lock on the tables`);
  return said;
}
