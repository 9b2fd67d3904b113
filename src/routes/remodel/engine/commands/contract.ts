/** `contract`: writes of the old table stop; what it misses is remembered, so that there is a way back. */
import type { RemodelResult } from '../../api.ts';
import { answer, controlOf, dryAnswer, lookAt, move, needPhase, waitForGates } from '../move.ts';
import type { Tools } from '../tools.ts';

export async function contract(tools: Tools): Promise<RemodelResult> {
  const control = await controlOf(tools);
  if (control.phase === 'new-only')
    return answer(tools, 'contract', control, 'The old table is not written any more already', { already: true });
  needPhase(tools, control, 'contract', ['reads']);
  if (tools.options.dryRun)
    return dryAnswer(tools, 'contract', control, await lookAt(tools, 'new-only'), [
      `stop writing ${tools.model.from.name}; remember what it misses`,
    ]);
  const gates = await waitForGates(tools, 'new-only');
  const [backlog, shadow] = [await tools.store.backlog(tools.model), await tools.store.shadowCount(tools.model)];
  const { control: next, proof } = await move(tools, {
    control,
    change: { phase: 'new-only', shadow: 0 },
    event: 'phase',
    gates,
    facts: { backlog, shadow, acceptedLossy: backlog.lossy },
  });
  const words = `${tools.model.from.name} is not written any more; \`rollback\` brings it up to date again`;
  return answer(tools, 'contract', next, words, { gates, proof });
}
