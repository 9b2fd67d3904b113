/** The agent killed before and after each phase is on the disk: run again it goes on or goes back, and never do both sides run. */
import { expect, test } from 'vitest';
import { MOVE_FAILPOINTS } from '../../../src/kernel/failpoint.ts';
import type { CutoverResult, MoveStatus } from '../../../src/routes/relocate/api.ts';
import { mountFresh } from '../../files/file-system.ts';
import { Scratch } from '../../files/move.ts';
import { Sides } from '../../files/sides.ts';
import { waitFor } from '../../servers/wait-for.ts';

type Step = 'copy' | 'cutover' | 'rollback' | 'commit';
type Name = (typeof MOVE_FAILPOINTS)[number];

/** In which step it is killed there, and what an agent that is started again makes of it. */
const CASES: Readonly<Record<Name, readonly [during: Step, then: MoveStatus['phase'], hits?: number]>> = {
  'move.before-following': ['copy', 'following'],
  'move.after-following': ['copy', 'following'],
  'move.before-stopping': ['cutover', 'following'],
  'move.after-stopping': ['cutover', 'following'],
  'move.before-draining': ['cutover', 'following'],
  'move.after-draining': ['cutover', 'following'],
  'move.before-starting': ['cutover', 'following'],
  'move.after-starting': ['cutover', 'running'],
  'move.before-running': ['cutover', 'running'],
  'move.after-running': ['cutover', 'running'],
  'move.before-going-back': ['rollback', 'running'],
  'move.after-going-back': ['rollback', 'following'],
  'move.before-resuming': ['rollback', 'following'],
  'move.after-resuming': ['rollback', 'following'],
  'move.before-committing': ['commit', 'running'],
  'move.after-committing': ['commit', 'committed'],
  'move.before-committed': ['commit', 'committed'],
  'move.after-committed': ['commit', 'committed'],
};

const CONSENT = {
  copy: [],
  cutover: ['cutover', '--yes-stop', 'default'],
  rollback: ['rollback', '--yes-discard', 'default'],
  commit: ['commit', '--yes-end', 'default'],
} as const;

test.each(MOVE_FAILPOINTS)('killed at %s', async (name) => {
  const [during, then, hits = 1] = CASES[name];
  await using source = await mountFresh('ext4', 100);
  await using target = await mountFresh('ext4', 100);
  using scratch = new Scratch();
  await using sides = await Sides.begin(scratch.dir, source.dir, target.dir, 'kill');
  await using move = sides.move();
  let both = 0;
  const watch = setInterval(() => {
    if (sides.areBothRunning) both += 1;
  }, 5);
  try {
    await move.start(`${name}:${hits}`);
    if (during !== 'copy') {
      await move.until('following');
      if (during !== 'cutover') await move.command<CutoverResult>(...CONSENT.cutover);
      if (during === 'commit') clearInterval(watch);
      await move.command<unknown>(...CONSENT[during]);
    }
    await waitFor(() => move.agentEnded, { timeoutMs: 30_000, what: 'the agent to be killed' });
    move.startAgent();
    expect((await move.until(then)).phase).toBe(then);
    if (then === 'following') {
      await sides.seen('old');
      const { answer } = await move.command<CutoverResult>(...CONSENT.cutover);
      expect(answer.outcome, JSON.stringify(answer)).toBe('running');
    }
    await sides.seen('new');
    clearInterval(watch);
    if (then !== 'committed')
      expect((await move.command<MoveStatus>(...CONSENT.commit)).answer.phase).toBe('committed');
    const order = sides.order();
    expect(
      order.every((side, at) => side === (at % 2 === 0 ? 'old' : 'new')),
      order.join(' '),
    ).toBe(true);
    expect(order.at(-1)).toBe('new');
    expect(both).toBe(0);
  } finally {
    clearInterval(watch);
  }
});
