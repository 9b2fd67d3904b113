/** `backfill`: adopts what nobody has written since the ramp was sealed, and proves that nothing was left out. */
import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import { throwIfAborted } from '../../../../kernel/errors.ts';
import type { Control, RemodelPhase } from '../../../../kernel/remodel/index.ts';
import type { BackfillReport, RemodelArgs, RemodelResult } from '../../api.ts';
import { ControlWatch } from '../../process/index.ts';
import { copyMissing } from '../copy-missing.ts';
import { answer, controlOf, dryAnswer, lookAt, move, needPhase, refuseClosed } from '../move.ts';
import type { Tools } from '../tools.ts';
import { isClean, verifyOnce } from './verify.ts';

/** Whoever goes back waits until nobody copies any more: see {@link underLease}. */
const COPYING: readonly RemodelPhase[] = ['sealed', 'backfilling', 'verified', 'reads'];

/** Between two passes of which the first moved nothing: whoever holds the locks shall have time to end. */
const PAUSE_MS = 500;
const LOOK_AGAIN_MS = 50;

export async function backfill(tools: Tools, args: RemodelArgs): Promise<RemodelResult> {
  const { say, options } = tools;
  let control = await controlOf(tools);
  needPhase(tools, control, 'backfill', COPYING);
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

  const report = await underLease(tools, (mayGoOn) => copyAll(tools, args, mayGoOn));
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
 * Copies as a process with a lease, for which commands that change the phase wait. `mayGoOn` is called before each
 * chunk: it throws GW1004 when somebody went back meanwhile.
 */
async function underLease<T>(tools: Tools, work: (mayGoOn: () => Promise<void>) => Promise<T>): Promise<T> {
  const { store, model, signal, clock, say } = tools;
  const watch = new ControlWatch(store, model, {
    process: `copier-${process.pid}-${randomBytes(3).toString('hex')}`,
    host: hostname(),
    role: 'copier',
    onEvent: (event) => say(event.kind, event.kind.replaceAll('-', ' '), { ...event }),
    clock,
  });
  const stop = new AbortController();
  await watch.start(AbortSignal.any([signal, stop.signal]));
  try {
    return await work(async () => {
      // After it stood still it looks first; so it does when the database comes back.
      while (!watch.isAwaited) {
        throwIfAborted(signal);
        await clock.sleep(LOOK_AGAIN_MS, signal);
      }
      needPhase(tools, watch.control as Control, 'backfill', COPYING);
    });
  } finally {
    stop.abort();
    await watch.ended();
  }
}

/**
 * Lists and adopts until a list is empty: rows written past the library
 * meanwhile are in the next one, and identities that somebody held a lock of.
 */
async function copyAll(tools: Tools, { part }: RemodelArgs, mayGoOn: () => Promise<void>): Promise<BackfillReport> {
  const { clock, signal, options } = tools;
  const began = clock.now();
  let sum = { listed: 0, adopted: 0, quarantined: 0 };
  let passes = 0;
  let movedAt = began;
  for (;;) {
    passes += 1;
    const pass = await copyMissing(tools, part, mayGoOn);
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
