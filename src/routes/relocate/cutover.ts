/**
 * The cutover and the way back: one turn of who has the services. Every step is
 * written down before it is made (see phase.ts), and can be made twice.
 */
import { GodwitError, isAborted } from '../../kernel/errors.ts';
import type { CutoverOptions, CutoverResult } from './api.ts';
import { approach, drain } from './drain.ts';
import type { Guard } from './guard-client.ts';
import type { Facts, PhaseStore } from './move-phase.ts';
import type { Mover } from './mover.ts';
import type { SourceServices } from './source-services.ts';
import type { StillFiles } from './still-files.ts';

export interface Parts {
  readonly mover: Mover;
  readonly phases: PhaseStore;
  readonly services: SourceServices;
  /** Looks at both sides as a whole while the source lives, so that the proof need not read all of it. */
  readonly lookAtBoth: () => Promise<void>;
  /** The file systems stand still, when that was asked for. */
  readonly freezeFiles: () => Promise<StillFiles>;
  /** From here on somebody lets the services go on if we are killed. */
  readonly guard: () => Promise<Guard>;
}

/** What has to be so before anything is stopped. @throws GodwitError */
export async function checkCutover({ mover, services }: Parts): Promise<void> {
  if (!services.areKnown)
    throw new GodwitError('GW2406', 'The agent was started without --stop-command or --freeze-cgroup');
  services.check();
  const { state } = await mover.targetServices();
  if (state === 'none') throw new GodwitError('GW2406', 'The target has no --start-command');
  if (state !== 'stopped') throw new GodwitError('GW2405', `The services of the target are ${state}`);
}

export function dryRun({ mover, services }: Parts, { maxStall }: CutoverOptions): CutoverResult {
  const { lastRound } = mover;
  const steps = [
    ...services.plan.map((each) => `source: ${each}`),
    `send what is left; the last round took ${lastRound?.seconds.toFixed(2) ?? '?'} s and sent ${lastRound?.sent ?? '?'} files`,
    `prove that both sides are equal; undo it all if that is not done after ${maxStall} s`,
    'target: run its --start-command; undo it all if that fails',
    ...mover.lookForDeleted().map((each) => `lost with the process that has it open: ${each}, which was deleted`),
  ];
  return { version: 1, command: 'cutover', outcome: 'dry-run', steps };
}

export async function cutOver(parts: Parts, { maxStall }: CutoverOptions): Promise<CutoverResult> {
  const { mover, phases, services } = parts;
  await approach(parts);
  await using _guard = await parts.guard();
  const turn = phases.file.turn + 1;
  phases.enter('stopping', { turn, undone: undefined, gapMs: undefined, certificate: undefined });
  const began = performance.now();
  const took = { stopMs: 0, drainMs: 0, proofMs: 0, startMs: 0 };
  let at = began;
  const lap = (part: keyof typeof took) => {
    const now = performance.now();
    took[part] += now - at;
    at = now;
  };
  try {
    await services.stop();
    phases.enter('draining');
    lap('stopMs');
    await within(mover, maxStall * 1000, async () => {
      await using still = await parts.freezeFiles();
      const certificate = await drain(mover, lap);
      still.mustHold();
      phases.enter('starting', { certificate, isTargetUsed: true });
    });
  } catch (error) {
    await goBack(parts, because(error));
    throw undone(error);
  }
  await start(parts);
  lap('startMs');
  const gapMs = performance.now() - began;
  phases.note({ gapMs });
  const { certificate } = phases.file;
  return {
    version: 1,
    command: 'cutover',
    outcome: 'running',
    steps: [],
    gapMs,
    parts: took,
    ...(certificate ? { certificate } : {}),
  };
}

/** The target's services are started, or, when they do not start, the source's go on. From `starting`. */
export async function start(parts: Parts): Promise<void> {
  const { mover, phases } = parts;
  try {
    await mover.serve({ want: 'running', turn: phases.file.turn });
  } catch (error) {
    // Only what the target itself says of its command is an answer; otherwise nobody knows.
    if (!(error instanceof GodwitError) || !['GW5403', 'GW2406'].includes(error.code)) throw error;
    await goBack(parts, because(error));
    throw undone(error);
  }
  phases.enter('running');
}

/** The source has the services again. From every phase in which it has them not, and again after a crash. */
export async function goBack({ mover, phases, services }: Parts, why: string): Promise<void> {
  const facts: Facts = { undone: why, gapMs: undefined, certificate: undefined };
  if (phases.phase === 'starting' || phases.phase === 'running') phases.enter('going-back', facts);
  if (phases.phase === 'going-back') {
    await mover.serve({ want: 'stopped', turn: phases.file.turn });
    phases.enter('resuming');
  }
  await goOn({ phases, services }, why);
}

/** The same, from the phases in which the target need not be asked: it was never told to run. */
export async function goOn({ phases, services }: Pick<Parts, 'phases' | 'services'>, why: string): Promise<void> {
  const facts: Facts = { undone: why, gapMs: undefined, certificate: undefined };
  if (phases.phase === 'stopping' || phases.phase === 'draining') phases.enter('resuming', facts);
  try {
    await services.resume();
  } catch (error) {
    throw new GodwitError('GW7402', `The services of the source do not go on: ${because(error)}`, {
      ...(error instanceof GodwitError ? { details: error.details } : {}),
      cause: error,
    });
  }
  phases.enter('following');
}

/** The way back is closed: what stood still of the source is ended. From `running`, and again after a crash. */
export async function commit({ phases, services }: Parts): Promise<void> {
  if (phases.phase === 'running') phases.enter('committing');
  await services.end();
  phases.enter('committed');
}

/** Does its work, or fails with GW7403 after so long. */
async function within<T>(mover: Mover, ms: number, work: () => Promise<T>): Promise<T> {
  const { signal } = mover;
  const late = new AbortController();
  const timer = setTimeout(
    () => late.abort(new GodwitError('GW7403', `It was not done after --max-stall ${ms / 1000} s`)),
    ms,
  );
  mover.signal = AbortSignal.any([signal, late.signal]);
  try {
    return await work();
  } finally {
    clearTimeout(timer);
    mover.signal = signal;
  }
}

function because(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** The error of a cutover that went back; a stop that was asked for stays one. */
function undone(error: unknown): unknown {
  if (isAborted(error)) return error;
  return new GodwitError('GW7401', because(error), {
    details: error instanceof GodwitError ? { ...error.details, lastCode: error.code } : {},
    cause: error,
  });
}
