/** Two systems with one address, alive at once: whoever asks for the address must never hear both. */
import { expect, test } from 'vitest';
import type { CutoverResult } from '../../../src/routes/relocate/api.ts';
import { mountFresh } from '../../files/file-system.ts';
import { LiveMove } from '../../files/live.ts';
import { python, Scratch } from '../../files/move.ts';
import { Network } from '../../files/network.ts';
import { waitFor } from '../../servers/wait-for.ts';

const TREE = "os.mkdir('d'); [open('d/%d' % i,'wb').write(os.urandom(2000)) for i in range(50)]";

test('who asks for the address of the source never hears both sides, whatever is killed on the way', async () => {
  await using source = await mountFresh('ext4', 100);
  await using target = await mountFresh('ext4', 600);
  await python(source.dir, TREE);
  for (const failpoint of [
    '',
    'move.after-stopping',
    'move.before-starting',
    'move.after-starting',
    'move.before-running',
  ]) {
    using scratch = new Scratch();
    await using network = await Network.begin('one');
    await using live = new LiveMove({
      dir: scratch.dir,
      source: source.dir,
      target: `${target.dir}/${failpoint}`,
      agent: ['--stop-command', network.take('old'), '--resume-command', network.give('old')],
      receive: ['--start-command', network.give('new'), '--stop-command', network.take('new')],
    });
    const cutOver = () => live.command<CutoverResult>('cutover', '--yes-stop', 'default');
    await live.start(failpoint);
    await live.until('following');
    await cutOver();
    if (failpoint === '') {
      await network.answered('new');
      await live.command('rollback', '--yes-discard', 'default');
      await network.answered('old');
      await cutOver();
    } else {
      await waitFor(() => live.agentEnded, { timeoutMs: 30_000, what: 'the agent to be killed' });
      live.startAgent();
      if ((await live.until('following', 'running')).phase === 'following') {
        await network.answered('old');
        await cutOver();
      }
    }
    await network.answered('new');
    const order = network.order();
    expect(order, failpoint).toEqual(failpoint === '' ? ['old', 'new', 'old', 'new'] : ['old', 'new']);
  }
}, 300_000);

test('a cutover that leaves the source its address is heard by who asks', async () => {
  await using source = await mountFresh('ext4', 100);
  await using target = await mountFresh('ext4', 100);
  using scratch = new Scratch();
  await python(source.dir, TREE);
  await using network = await Network.begin('two');
  await using live = new LiveMove({
    dir: scratch.dir,
    source: source.dir,
    target: target.dir,
    agent: ['--stop-command', 'true', '--resume-command', 'true'],
    receive: ['--start-command', network.give('new'), '--stop-command', network.take('new')],
  });
  await live.start();
  await live.until('following');
  await live.command('cutover', '--yes-stop', 'default');
  await waitFor(() => network.order().includes('both'), { timeoutMs: 20_000, what: 'an answer of both' });
});
