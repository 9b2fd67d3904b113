/** `retire`: first a trap in the old table's place, which tells who still reads it; then its end. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { GodwitError } from '../../../../kernel/errors.ts';
import type { Control } from '../../../../kernel/remodel/index.ts';
import type { RemodelResult } from '../../api.ts';
import { toParquet } from '../archive.ts';
import { auditOf } from '../facts.ts';
import { answer, controlOf, dryAnswer, lookAt, move, needPhase, waitForGates } from '../move.ts';
import type { Tools } from '../tools.ts';

export async function trap(tools: Tools, mode: 'record' | 'refuse'): Promise<RemodelResult> {
  const { store, model, options, admin, cycleMs } = tools;
  const control = await controlOf(tools);
  needPhase(tools, control, 'retire --trap', ['new-only', 'trapped']);
  const would = [
    `rename ${model.from.name} and put a view in its place that ${mode === 'record' ? 'records' : 'records and refuses'} its readers`,
  ];
  if (control.phase === 'trapped') {
    if (options.dryRun) return dryAnswer(tools, 'retire', control, [], would);
    await store.trap(model, mode);
    await admin.note(model, 'trap', { mode });
    return answer(tools, 'retire', control, `The trap is set to ${mode}`);
  }
  if (options.dryRun) return dryAnswer(tools, 'retire', control, await lookAt(tools, 'trapped'), would);
  const gates = await waitForGates(tools, 'trapped');
  await store.trap(model, mode);
  const { control: next, proof } = await move(tools, {
    control,
    change: { phase: 'trapped' },
    event: 'phase',
    gates,
    facts: { mode, cycleMs },
    data: { mode, cycleMs },
  });
  const words = `${model.from.name} is trapped (${mode}); whoever reads it is shown by \`status\` and \`doctor\``;
  return answer(tools, 'retire', next, words, { gates, proof });
}

export async function retire(tools: Tools, confirm: string | undefined): Promise<RemodelResult> {
  const { store, model, options, admin } = tools;
  const control = await controlOf(tools);
  if (control.phase === 'retired') {
    // The phase comes first: a command killed after it is finished by repeating it.
    const isDone = (await auditOf(tools)).some(({ event }) => event === 'retired');
    if (!isDone && !options.dryRun) await finish({});
    return answer(tools, 'retire', control, `${model.from.name} is retired already`, { already: true });
  }
  needPhase(tools, control, 'retire --confirm', ['trapped']);
  const gates = await lookAt(tools, 'retired');
  if (options.dryRun)
    return dryAnswer(tools, 'retire', control, gates, [
      `archive ${model.from.name} to ${options.work}`,
      `drop ${model.from.name}, tombstones and queue, for good`,
    ]);
  if (confirm !== model.from.name)
    throw new GodwitError(
      'GW1005',
      `Dropping the old table cannot be undone: repeat with --confirm ${model.from.name}`,
      {
        details: { remodel: model.name },
      },
    );
  await waitForGates(tools, 'retired');
  const archived = await archive(tools);
  const next = await lastMove(tools, control, gates, { archived });
  await finish({ archived });
  const words = `${model.from.name} is retired; ${archived.rows} rows lie in ${archived.file}`;
  return answer(tools, 'retire', next.control, words, { gates, proof: next.proof, file: archived.file });

  async function finish(data: Record<string, unknown>): Promise<void> {
    await store.retire(model);
    await admin.note(model, 'retired', data);
  }
}

async function archive({ model, options, admin, signal, say }: Tools): Promise<{ file: string; rows: number }> {
  mkdirSync(options.work, { recursive: true });
  const csv = join(options.work, `${model.name}-${model.from.name}.csv`);
  const rows = await admin.archive(model, csv, signal);
  const file = await toParquet(csv, signal);
  say('archive', `${rows} rows archived to ${file}`, { rows, file });
  return { rows, file };
}

function lastMove(
  tools: Tools,
  control: Control,
  gates: Awaited<ReturnType<typeof lookAt>>,
  facts: Record<string, unknown>,
) {
  return move(tools, { control, change: { phase: 'retired' }, event: 'phase', gates, facts });
}
