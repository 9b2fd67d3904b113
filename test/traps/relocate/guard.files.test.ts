/** An agent that is killed while the services stand still: somebody else lets them go on, unless the target may run. */
import { readdirSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import type { CutoverResult } from '../../../src/routes/relocate/api.ts';
import { mountFresh } from '../../files/file-system.ts';
import { Scratch } from '../../files/move.ts';
import { Sides } from '../../files/sides.ts';
import { waitFor } from '../../servers/wait-for.ts';

/** Of the guards that run on this machine, by the directory of their state. */
function guards(): number {
  return readdirSync('/proc')
    .filter((pid) => /^\d+$/.test(pid))
    .filter((pid) => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').slice(-3).join(' ') === 'relocate guard ';
      } catch {
        return false;
      }
    }).length;
}

test.each(['move.after-stopping', 'move.before-draining', 'move.after-draining', 'move.before-starting'] as const)(
  'killed at %s, the services of the source go on without another agent',
  async (name) => {
    await using source = await mountFresh('ext4', 100);
    await using target = await mountFresh('ext4', 100);
    using scratch = new Scratch();
    await using sides = await Sides.begin(scratch.dir, source.dir, target.dir, 'guard');
    await using move = sides.move();
    await move.start(name);
    await move.until('following');
    await move.command<CutoverResult>('cutover', '--yes-stop', 'default');
    await waitFor(() => move.agentEnded, { timeoutMs: 30_000, what: 'the agent to be killed' });
    await sides.seen('old');
    await waitFor(async () => (await move.status()).phase === 'following', { timeoutMs: 20_000, what: 'following' });
    expect(await move.status()).toMatchObject({ isRunning: false, holds: 'source' });
    expect(sides.order()).toEqual(['old']);
    // And the next cutover is one like any other.
    move.startAgent();
    await move.until('following');
    const { answer } = await move.command<CutoverResult>('cutover', '--yes-stop', 'default');
    expect(answer.outcome, JSON.stringify(answer)).toBe('running');
    await sides.seen('new');
    expect(sides.order()).toEqual(['old', 'new']);
  },
);

test('killed when the target may run, nobody lets the services of the source go on', async () => {
  await using source = await mountFresh('ext4', 100);
  await using target = await mountFresh('ext4', 100);
  using scratch = new Scratch();
  await using sides = await Sides.begin(scratch.dir, source.dir, target.dir, 'token');
  await using move = sides.move();
  const before = guards();
  await move.start('move.after-starting');
  await move.until('following');
  await move.command<CutoverResult>('cutover', '--yes-stop', 'default');
  await waitFor(() => move.agentEnded, { timeoutMs: 30_000, what: 'the agent to be killed' });
  // It has looked, and left.
  await waitFor(() => guards() <= before, { timeoutMs: 30_000, what: 'the guard to end' });
  expect(await move.status()).toMatchObject({ phase: 'starting', holds: 'target', isRunning: false });
  move.startAgent();
  await move.until('running');
  await sides.seen('new');
  expect(sides.order()).toEqual(['old', 'new']);
});
