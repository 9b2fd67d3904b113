/** `backfill`: adopts what nobody has written since the ramp was sealed, and proves that nothing was left out. */
import type { BackfillReport, RemodelArgs, RemodelResult } from '../../api.ts';
import { copyMissing } from '../copy-missing.ts';
import { answer, controlOf, dryAnswer, lookAt, move, needPhase, refuseClosed } from '../move.ts';
import type { Tools } from '../tools.ts';
import { isClean, verifyOnce } from './verify.ts';

/** Between two passes of which the first moved nothing: whoever holds the locks shall have time to end. */
const PAUSE_MS = 500;

export async function backfill(tools: Tools, args: RemodelArgs): Promise<RemodelResult> {
  const { say, options } = tools;
  let control = await controlOf(tools);
  needPhase(tools, control, 'backfill', ['sealed', 'backfilling', 'verified', 'reads']);
  const gates = await lookAt(tools, 'backfilling');
  if (options.dryRun)
    return dryAnswer(tools, 'backfill', control, gates, [
      ...(control.phase === 'sealed' ? ['phase backfilling'] : []),
      `list the identities that the new model lacks (${options.engine})`,
      `adopt them, ${options.lanes} × ${options.chunk} at once`,
      'list again until none is left; compare by presence, then by value',
    ]);
  refuseClosed(tools, 'backfilling', gates);
  if (control.phase === 'sealed')
    ({ control } = await move(tools, { control, change: { phase: 'backfilling' }, event: 'phase', gates }));

  const report = await copyAll(tools, args);
  await tools.admin.note(tools.model, 'backfill', { ...report, part: args.part ?? null });
  const done = `${report.adopted} identities adopted in ${report.seconds.toFixed(1)} s`;
  if (args.part !== undefined && args.part.count > 1)
    return answer(tools, 'backfill', control, `${done}; part ${args.part.index} of ${args.part.count} is complete`, {
      backfill: report,
      ok: report.quarantined === 0,
    });
  const proofs = [await verifyOnce(tools, false)];
  if (proofs.every(isClean)) proofs.push(await verifyOnce(tools, true));
  const ok = proofs.every(isClean) && report.quarantined === 0;
  say('backfill', ok ? 'every identity is in the new model' : 'something is left', { ...report });
  const words = ok
    ? `${done}; nothing is missing, compared by value`
    : `${done}, ${report.quarantined} refused; \`doctor\` tells why`;
  return answer(tools, 'backfill', control, words, { backfill: report, verify: proofs, ok });
}

/**
 * Lists and adopts until a list is empty: rows written past the library
 * meanwhile are in the next one, and identities that somebody held a lock of.
 */
async function copyAll(tools: Tools, { part }: RemodelArgs): Promise<BackfillReport> {
  const { clock, signal, options } = tools;
  const began = clock.now();
  let sum = { listed: 0, adopted: 0, quarantined: 0 };
  let passes = 0;
  let movedAt = began;
  for (;;) {
    passes += 1;
    const pass = await copyMissing(tools, part);
    sum = {
      listed: sum.listed + pass.listed,
      adopted: sum.adopted + pass.adopted,
      quarantined: sum.quarantined + pass.quarantined,
    };
    if (pass.listed === 0) break;
    if (pass.adopted + pass.quarantined > 0) {
      movedAt = clock.now();
      continue;
    }
    if (clock.now() - movedAt > options.timeoutSeconds * 1_000) break;
    await clock.sleep(PAUSE_MS, signal);
  }
  return { ...sum, passes, seconds: (clock.now() - began) / 1_000 };
}
