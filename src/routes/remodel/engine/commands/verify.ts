/** `verify`: both models compared in one snapshot, under live writes; presence first, then value by value. */
import type { RemodelPhase } from '../../../../kernel/remodel/index.ts';
import type { RemodelArgs, RemodelResult, VerifyReport } from '../../api.ts';
import { auditOf, proofsOf } from '../facts.ts';
import { answer, controlOf, dryAnswer, isOpen, lookAt, move, needPhase, waitForGates } from '../move.ts';
import { compareOffline } from '../offline.ts';
import type { Tools } from '../tools.ts';

export async function verify(tools: Tools, args: RemodelArgs): Promise<RemodelResult> {
  const control = await controlOf(tools);
  needPhase(tools, control, 'verify', ['dual', 'sealed', 'backfilling', 'verified', 'reads', 'new-only', 'trapped']);
  const looks = args.byValue ? [true] : [false, true];
  if (tools.options.dryRun) {
    const gates = control.phase === 'backfilling' ? await lookAt(tools, 'verified') : [];
    const would = looks.map((byValue) => `compare ${byValue ? 'all columns' : 'presence'} in one snapshot`);
    return { ...dryAnswer(tools, 'verify', control, gates, would), ok: true };
  }
  const reports: VerifyReport[] = [];
  for (const byValue of looks) {
    const report = await verifyOnce(tools, byValue, tools.options.maxRate);
    reports.push(report);
    if (!isAsExpected(report, control.phase)) break;
  }
  const last = reports.at(-1) as VerifyReport;
  if (!reports.every(isClean))
    return answer(tools, 'verify', control, differences(last), {
      verify: reports,
      ok: reports.every((report) => isAsExpected(report, control.phase)),
    });
  const words = `${last.identities} identities compared, ${last.pending} on their way: no difference`;
  if (control.phase !== 'backfilling') return answer(tools, 'verify', control, words, { verify: reports });
  return advance(tools, reports, words);
}

/** On to `verified` when two proofs in a row found nothing. One alone leaves the phase as it is. */
async function advance(tools: Tools, reports: readonly VerifyReport[], words: string): Promise<RemodelResult> {
  const proofs = proofsOf(await auditOf(tools));
  const control = await controlOf(tools);
  if (proofs.length < 2) {
    const gates = await lookAt(tools, 'verified');
    return answer(tools, 'verify', control, `${words}. Once more makes it two in a row`, { verify: reports, gates });
  }
  const gates = await waitForGates(tools, 'verified');
  const { control: next, proof } = await move(tools, {
    control,
    change: { phase: 'verified' },
    event: 'phase',
    gates,
    facts: { verify: reports },
  });
  return answer(tools, 'verify', next, words, { verify: reports, gates, proof, ok: isOpen(gates) });
}

/**
 * One comparison, recorded in the history whatever it found. `maxRate`: identities a second; a comparison costs much
 * less than a backfill, whose rate is not meant for it.
 */
export async function verifyOnce(tools: Tools, byValue: boolean, maxRate?: number): Promise<VerifyReport> {
  const { store, model, options, signal, admin, say } = tools;
  const report =
    options.engine === 'live'
      ? { engine: 'live' as const, byValue, ...(await store.verify(model, { byValue, maxRate, signal })) }
      : await compareOffline(tools, byValue, maxRate);
  const { quarantined } = await store.backlog(model);
  const whole = { ...report, quarantined };
  await admin.note(model, 'verify', { result: { ...whole, examples: whole.examples.slice(0, 10) } });
  say('verify', `compared ${byValue ? 'by value' : 'by presence'}: ${differences(whole)}`, { ...whole });
  return whole;
}

/** Before the backfill identities that nobody wrote to are still the old model's. */
function isAsExpected(report: VerifyReport, phase: RemodelPhase): boolean {
  return isClean(phase === 'dual' || phase === 'sealed' ? { ...report, missing: 0 } : report);
}

export function isClean({ missing, extra, different }: VerifyReport): boolean {
  return missing + extra + different === 0;
}

function differences({ missing, extra, different, identities, quarantined }: VerifyReport): string {
  const quarantine = quarantined > 0 ? `, ${quarantined} in quarantine` : '';
  return `of ${identities} identities ${missing} missing, ${extra} extra, ${different} different${quarantine}`;
}
