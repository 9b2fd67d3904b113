/** `create`: the price of a write to both first, then tables and guard; and `drop`, its inverse. */
import { GodwitError } from '../../../../kernel/errors.ts';
import type { Control, Impact } from '../../../../kernel/remodel/index.ts';
import type { RemodelResult } from '../../api.ts';
import { auditOf } from '../facts.ts';
import { answer, controlOf, dryAnswer, lookAt, needPhase, refuseClosed } from '../move.ts';
import { makeProof } from '../proof.ts';
import { latestShape, shapeHash } from '../shape.ts';
import type { Tools } from '../tools.ts';

export async function create(tools: Tools): Promise<RemodelResult> {
  const { store, model, definition, options, say } = tools;
  const before = await store.control(model);
  const isThere = before !== undefined && before.phase !== 'draft';
  if (isThere && before.definition !== definition)
    throw new GodwitError('GW7008', `Remodel ${model.name} was created with another definition`, {
      details: { remodel: model.name, phase: before.phase },
    });
  // A create that was stopped half way is finished by repeating it.
  if (isThere && (before.phase !== 'created' || options.dryRun || (await isRecorded(tools)))) {
    if (before.phase === 'created' && !options.dryRun) await store.create(model, definition);
    return answer(tools, 'create', before, `Remodel ${model.name} exists already, in phase ${before.phase}`, {
      already: true,
    });
  }
  const plan = await store.plan(model);
  if (options.dryRun) return dryAnswer(tools, 'create', { phase: 'draft', epoch: 0 }, [], plan);
  await store.create(model, definition);
  const control = await controlOf(tools);
  const shape = await store.shape(model);
  const impact = await store.measure(model, options.samples);
  for (const line of impactLines(impact)) say('impact', line, { ...impact });
  const proof = makeProof(definition, 'create', [], { impact, shape: shapeHash(shape) }, '');
  await tools.admin.note(model, 'create', { shape, impact, plan, proof });
  return answer(tools, 'create', control, createdMessage(model.name, impact), { impact, proof: proof.hash });
}

async function isRecorded(tools: Tools): Promise<boolean> {
  return latestShape(await auditOf(tools)) !== undefined;
}

function createdMessage(name: string, impact: Impact): string {
  const extra = impact.dualP50Ms - impact.plainP50Ms;
  return `Remodel ${name} is created; nothing is written to the new tables yet. A write of both will take about ${extra.toFixed(2)} ms more`;
}

/** The measured price of a write, for people. */
export function impactLines(impact: Impact): readonly string[] {
  const ms = (value: number) => `${value.toFixed(2)} ms`;
  const log =
    impact.dualLogBytes === 0 && impact.plainLogBytes === 0
      ? []
      : [`log       ${impact.plainLogBytes} → ${impact.dualLogBytes} bytes a write`];
  return [
    `measured on ${impact.samples} writes, all rolled back (plain write → write of both):`,
    `median    ${ms(impact.plainP50Ms)} → ${ms(impact.dualP50Ms)}`,
    `99 of 100 ${ms(impact.plainP99Ms)} → ${ms(impact.dualP99Ms)}`,
    ...log,
    `locks     ${impact.plainLocks} → ${impact.dualLocks} held at the end of a write`,
  ];
}

export async function drop(tools: Tools): Promise<RemodelResult> {
  const { store, model, options } = tools;
  const control: Control | undefined = await store.control(model);
  if (control === undefined || control.phase === 'draft')
    return answer(tools, 'drop', { phase: 'draft', epoch: control?.epoch ?? 0 }, 'There is nothing to drop', {
      already: true,
    });
  needPhase(tools, control, 'drop', ['created']);
  const gates = await lookAt(tools, 'draft');
  if (options.dryRun)
    return dryAnswer(tools, 'drop', control, gates, [
      `drop ${Object.values(model.to)
        .map((table) => table.name)
        .join(', ')}`,
      `take the guard off ${model.from.name}`,
      'forget control record, history and leases of this remodel',
    ]);
  refuseClosed(tools, 'draft', gates);
  await store.drop(model);
  return answer(tools, 'drop', { phase: 'draft', epoch: 0 }, `Remodel ${model.name} is gone; the old table serves`, {
    gates,
  });
}
