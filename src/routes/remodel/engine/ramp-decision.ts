/** Whether the ramp goes up, stays or goes down. Pure. */
import { BUCKETS } from '../../../kernel/remodel/index.ts';
import { complaints, type RailLimits, type Rails } from './guardrails.ts';

/** In parts of 10000: 1, 5, 10, 25, 50, 100 %. */
export const STEPS = [100, 500, 1_000, 2_500, 5_000, BUCKETS] as const;

/** What is remembered from one look to the next. */
export interface RampMemory {
  /** Median of a write at the first look. */
  readonly baseline: number | undefined;
  /** Since when all has been well at the present step. */
  readonly greenSince: number | undefined;
}

export interface RampDecision {
  readonly to: number;
  readonly reason: string;
  /** The ramp has been at 100 % for a soak window. */
  readonly done: boolean;
  readonly memory: RampMemory;
}

export function decideRamp(
  ramp: number,
  rails: Rails,
  memory: RampMemory,
  now: number,
  limits: RailLimits & { readonly soakMs: number },
): RampDecision {
  const baseline = memory.baseline ?? rails.writeP50Ms;
  const wrong = complaints(rails, baseline, limits);
  if (wrong.length > 0) {
    const lower = STEPS.findLast((step) => step < ramp) ?? 0;
    return {
      // Adoptions that were made stay: going down only stops more of them.
      to: lower,
      reason: `${lower < ramp ? 'stepped down' : 'held'}: ${wrong.join('; ')}`,
      done: false,
      memory: { baseline, greenSince: undefined },
    };
  }
  const greenSince = memory.greenSince ?? now;
  const greenMs = now - greenSince;
  const next = STEPS.find((step) => step > ramp);
  if (ramp === 0 && next !== undefined)
    return { to: next, reason: 'the first step', done: false, memory: { baseline, greenSince: undefined } };
  if (greenMs < limits.soakMs) {
    const reason = `all is well; it must stay so for ${Math.round(limits.soakMs / 1000)} s`;
    return { to: ramp, reason, done: false, memory: { baseline, greenSince } };
  }
  const reason = `all was well for ${Math.round(greenMs / 1000)} s`;
  if (next === undefined) return { to: ramp, reason, done: true, memory: { baseline, greenSince } };
  return { to: next, reason, done: false, memory: { baseline, greenSince: undefined } };
}
