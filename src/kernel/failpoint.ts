/**
 * Named places where a test may kill the process, so that every crash that
 * matters can be repeated at will. A failpoint costs one comparison when none
 * is armed.
 */
export const FAILPOINTS = [
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

export type Failpoint = (typeof FAILPOINTS)[number];

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
