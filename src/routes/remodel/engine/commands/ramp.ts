/** `ramp`: which share of identities may be adopted by their own writes; by hand, or step by step by itself. */
import { GodwitError, throwIfAborted } from '../../../../kernel/errors.ts';
import { BUCKETS, type Control } from '../../../../kernel/remodel/index.ts';
import type { RemodelResult } from '../../api.ts';
import { share } from '../gates.ts';
import { probe } from '../guardrails.ts';
import { answer, controlOf, dryAnswer, lookAt, move, needPhase, refuseClosed } from '../move.ts';
import { decideRamp, type RampMemory } from '../ramp-decision.ts';
import type { Tools } from '../tools.ts';

export async function ramp(tools: Tools, wanted: number | 'auto'): Promise<RemodelResult> {
  const control = await controlOf(tools);
  needPhase(tools, control, 'ramp', ['created', 'dual', 'sealed']);
  if (wanted === 'auto') return rampBySteps(tools, control);
  if (control.phase === 'sealed' && wanted < BUCKETS)
    throw new GodwitError('GW1004', 'The ramp is sealed at 100 %; `rollback` opens it again', {
      details: { phase: control.phase },
    });
  if (control.ramp === wanted && control.phase !== 'created')
    return answer(tools, 'ramp', control, `The ramp is at ${share(wanted)} already`, { already: true });
  const gates = wanted > control.ramp ? await lookAt(tools, 'dual') : [];
  if (tools.options.dryRun) return dryAnswer(tools, 'ramp', control, gates, [rampLine(control, wanted)]);
  refuseClosed(tools, 'dual', gates);
  const { control: next, proof } = await setRamp(tools, control, wanted, gates, {});
  return answer(tools, 'ramp', next, rampMessage(next, control), { gates, proof });
}

function rampLine(control: Control, wanted: number): string {
  return `ramp from ${share(control.ramp)} to ${share(wanted)}${control.phase === 'created' ? ', phase dual' : ''}`;
}

function rampMessage(next: Control, before: Control): string {
  const words = `The ramp is at ${share(next.ramp)}`;
  return next.ramp < before.ramp ? `${words}; what the new model owns it keeps` : words;
}

type Gates = Awaited<ReturnType<typeof lookAt>>;

function setRamp(tools: Tools, control: Control, wanted: number, gates: Gates, facts: Record<string, unknown>) {
  const change = control.phase === 'created' ? { phase: 'dual' as const, ramp: wanted } : { ramp: wanted };
  return move(tools, { control, change, event: control.phase === 'created' ? 'phase' : 'ramp', gates, facts });
}

/** Raises, holds and lowers until the ramp has been at 100 % for a soak window, or somebody stops it. */
async function rampBySteps(tools: Tools, start: Control): Promise<RemodelResult> {
  const { options, clock, signal, say } = tools;
  if (options.dryRun) {
    const gates = await lookAt(tools, 'dual');
    return dryAnswer(tools, 'ramp', start, gates, [
      `raise the ramp in steps from ${share(start.ramp)} to 100 %, each after ${options.soakSeconds} s without complaint`,
    ]);
  }
  let memory: RampMemory = { baseline: undefined, greenSince: undefined };
  let control = start;
  let said = '';
  for (;;) {
    throwIfAborted(signal);
    const rails = await probe(tools);
    const decision = decideRamp(control.ramp, rails, memory, clock.now(), {
      soakMs: options.soakSeconds * 1_000,
      latencyLimit: options.latencyLimit,
      lagLimitMs: options.lagLimitSeconds * 1_000,
    });
    memory = decision.memory;
    if (decision.to !== control.ramp || control.phase === 'created') {
      const gates = decision.to > control.ramp ? await lookAt(tools, 'dual') : [];
      refuseClosed(tools, 'dual', gates);
      ({ control } = await setRamp(tools, control, decision.to, gates, { reason: decision.reason, rails }));
      say('ramp', `ramp ${share(control.ramp)}: ${decision.reason}`, { ramp: control.ramp, reason: decision.reason });
    } else if (decision.done) {
      return answer(tools, 'ramp', control, `The ramp is at 100 % and stayed well for ${options.soakSeconds} s`);
    } else if (said !== decision.reason) {
      say('ramp', `ramp ${share(control.ramp)} held: ${decision.reason}`, { ramp: control.ramp });
    }
    said = decision.reason;
    await clock.sleep(Math.min(1_000, Math.max(100, (options.soakSeconds * 1_000) / 10)), signal);
    control = await controlOf(tools);
  }
}
