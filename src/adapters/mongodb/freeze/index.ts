export { type CatchUp, watchCatchUp } from './catch-up.ts';
export { freezeSecondary } from './freeze.ts';
export type { FrozenMember } from './frozen-member.ts';
export { logForgets } from './guard.ts';
export { openLock, releasedAt } from './journal.ts';
export { releaseLeftLock } from './left-lock.ts';
export { judgeSecondaries } from './pick-member.ts';
