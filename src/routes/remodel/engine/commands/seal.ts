/** `seal`: from here on no process may write as before the ramp was full. */
import type { RemodelResult } from '../../api.ts';
import { answer, controlOf, dryAnswer, lookAt, move, needPhase, waitForGates } from '../move.ts';
import type { Tools } from '../tools.ts';

export async function seal(tools: Tools): Promise<RemodelResult> {
  const control = await controlOf(tools);
  if (control.phase === 'sealed') return answer(tools, 'seal', control, 'It is sealed already', { already: true });
  needPhase(tools, control, 'seal', ['dual']);
  if (tools.options.dryRun) return dryAnswer(tools, 'seal', control, await lookAt(tools, 'sealed'), ['phase sealed']);
  const gates = await waitForGates(tools, 'sealed');
  const leases = await tools.store.leases(tools.model);
  const facts = { leases: leases.map(({ process, epoch }) => ({ process, epoch })) };
  const { control: next, proof } = await move(tools, {
    control,
    change: { phase: 'sealed' },
    event: 'phase',
    gates,
    facts,
  });
  return answer(tools, 'seal', next, 'Sealed: every write adopts its identity, in every process', { gates, proof });
}
