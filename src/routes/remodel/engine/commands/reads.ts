/** `reads`: which share of identities is read from the new model, and which share is compared in the shadow. */
import { BUCKETS, type Control, type ControlChange } from '../../../../kernel/remodel/index.ts';
import type { GateResult, RemodelArgs, RemodelResult } from '../../api.ts';
import { share } from '../gates.ts';
import { answer, controlOf, dryAnswer, lookAt, move, needPhase, waitForGates } from '../move.ts';
import type { Tools } from '../tools.ts';

export async function reads(tools: Tools, args: RemodelArgs): Promise<RemodelResult> {
  const control = await controlOf(tools);
  needPhase(tools, control, 'reads', ['verified', 'reads']);
  const change = changeOf(control, args);
  const what = describe(control, change);
  if (what.length === 0) {
    const words = `Reads are at ${share(control.reads)}, ${share(control.shadow)} compared, already`;
    return answer(tools, 'reads', control, words, { already: true });
  }
  const isFirst = control.phase === 'verified';
  const isMore = (change.reads ?? 0) > control.reads;
  const ways = [...(isFirst ? ['reads' as const] : []), ...(isMore ? ['more reads' as const] : [])];
  const { dryRun } = tools.options;
  const looked: GateResult[] = [];
  for (const way of ways) looked.push(...(dryRun ? await lookAt(tools, way) : await waitForGates(tools, way)));
  const gates = looked.filter((gate, at) => looked.findIndex(({ name }) => name === gate.name) === at);
  if (dryRun) return dryAnswer(tools, 'reads', control, gates, what);
  const shadow = await tools.store.shadowCount(tools.model);
  const { control: next, proof } = await move(tools, {
    control,
    change,
    event: isFirst ? 'phase' : 'reads',
    gates,
    facts: { shadow },
  });
  const words = `Reads are at ${share(next.reads)}, ${share(next.shadow)} compared in the shadow`;
  return answer(tools, 'reads', next, words, { gates, proof });
}

function changeOf(control: Control, { share: wanted, shadow }: RemodelArgs): ControlChange {
  return {
    ...(control.phase === 'verified' ? { phase: 'reads' as const } : {}),
    ...(typeof wanted === 'number' && wanted !== control.reads ? { reads: Math.min(BUCKETS, wanted) } : {}),
    ...(shadow !== undefined && shadow !== control.shadow ? { shadow } : {}),
  };
}

function describe(control: Control, change: ControlChange): readonly string[] {
  return [
    ...(change.phase === undefined ? [] : [`phase ${change.phase}`]),
    ...(change.reads === undefined
      ? []
      : [`reads from the new model: ${share(control.reads)} → ${share(change.reads)}`]),
    ...(change.shadow === undefined
      ? []
      : [`reads compared in the shadow: ${share(control.shadow)} → ${share(change.shadow)}`]),
  ];
}
