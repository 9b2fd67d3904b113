import { GodwitError } from './errors.ts';

/**
 * Named places where a test may kill the process, so that every crash that
 * matters can be repeated at will. A failpoint costs one comparison when none
 * is armed.
 */
export const FAILPOINTS = [
  'freeze.before-lock',
  'freeze.locking',
  'freeze.after-lock',
  'freeze.after-time-point',
  'freeze.before-release',
  'freeze.after-release',
  'freeze.caught-up',
  'watchdog.before-lock',
  'watchdog.after-lock',
  'watchdog.before-unlock',
  'watchdog.after-unlock',
  'plan.before-commit',
  'plan.after-commit',
  'copy.create.after',
  'copy.chunk.before-first-write',
  'copy.chunk.after-write',
  'copy.chunk.before-done',
  'copy.chunk.after-done',
  'copy.indexes.before',
  'copy.indexes.after',
  'copy.all-done',
  'follow.before-append',
  'follow.after-append',
  'follow.after-sync',
  'apply.before-write',
  'apply.mid-write',
  'apply.after-write',
  'apply.before-structure',
  'apply.after-structure',
  'checkpoint.before-commit',
  'checkpoint.after-commit',
  'spool.before-trim',
  'verify.chunk.after',
  'verify.before-verdict',
  'verify.repair.after',
  'resync.before-commit',
  'resync.after-commit',
  'resync.structure.mid',
  'resync.structure.after',
  'resync.after-scan',
  'resync.before-write',
  'resync.mid-write',
  'resync.after-write',
  'resync.chunk.before-done',
  'resync.all-done',
  'resync.before-verdict',
  'cutover.after-plan',
  'cutover.after-fence',
  'cutover.after-drain',
  'cutover.after-finish',
  'cutover.before-switch',
  'cutover.after-switch',
  'cutover.before-confirm',
  'rollback.after-fence',
  'rollback.after-drain',
  'rollback.after-switch',
  'rollback.before-done',
] as const;

/** Of a live move: before and after each of its phases is on the disk. */
export const MOVE_FAILPOINTS = [
  'move.before-following',
  'move.after-following',
  'move.before-stopping',
  'move.after-stopping',
  'move.before-draining',
  'move.after-draining',
  'move.before-starting',
  'move.after-starting',
  'move.before-running',
  'move.after-running',
  'move.before-going-back',
  'move.after-going-back',
  'move.before-resuming',
  'move.after-resuming',
  'move.before-committing',
  'move.after-committing',
  'move.before-committed',
  'move.after-committed',
] as const;

export type Failpoint = (typeof FAILPOINTS | typeof MOVE_FAILPOINTS)[number];

let armed: { name: Failpoint; hits: number; action: () => void } | undefined;

/** Arms one failpoint: `action` runs when it is reached for the `hits`-th time. */
export function armFailpoint(name: Failpoint, hits: number, action: () => void): void {
  armed = { name, hits, action };
}

/** Marks the place. */
export function failpoint(name: Failpoint): void {
  if (armed === undefined || armed.name !== name) return;
  armed.hits -= 1;
  if (armed.hits > 0) return;
  const { action } = armed;
  armed = undefined;
  action();
}

/**
 * Arms the failpoint of `GODWIT_FAILPOINT=name[:hits]`, for crash tests: the
 * process kills itself there as SIGKILL would, with nothing tidied up.
 * An unknown name is an error, or a test could wait for a crash in vain.
 */
export function armFromEnvironment(env: NodeJS.ProcessEnv): void {
  const wanted = env['GODWIT_FAILPOINT'];
  if (!wanted) return;
  const [name, hits = '1'] = wanted.split(':');
  const known = [...FAILPOINTS, ...MOVE_FAILPOINTS].find((failpoint) => failpoint === name);
  if (!known) throw new GodwitError('GW1001', `GODWIT_FAILPOINT names no failpoint: ${name}`);
  armFailpoint(known, Number(hits), () => process.kill(process.pid, 'SIGKILL'));
}
