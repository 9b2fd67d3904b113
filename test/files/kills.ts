/** Kills the agent or the receiver, each a process of its own, at random points of a copy, and starts it again. */
import { once } from 'node:events';
import { join } from 'node:path';
import { pickFreePort } from '../servers/ports.ts';
import { waitFor } from '../servers/wait-for.ts';
import { type CutResult, cuttingProxy, makeTls, makeTree, random, roomFor } from './cuts.ts';
import { mountFresh } from './file-system.ts';
import { differences, Scratch } from './move.ts';
import { godwit } from './one-million.ts';

export async function killMoves(options: {
  kills: number;
  megabytes: number;
  seed: number;
}): Promise<Omit<CutResult, 'cuts'> & { kills: number }> {
  await using source = await mountFresh('ext4', roomFor(options.megabytes));
  await using target = await mountFresh('ext4', roomFor(options.megabytes));
  using scratch = new Scratch();
  await makeTree(source.dir, options.megabytes, options.seed);
  const tls = await makeTls(join(scratch.dir, 'tls'));
  const flags = ['--tls-ca', tls.ca, '--tls-cert', tls.cert, '--tls-key', tls.key];
  const port = await pickFreePort();
  const next = random(options.seed);
  const proxy = await cuttingProxy(port, () => Number.POSITIVE_INFINITY);
  const startReceive = async () => {
    const started = godwit([
      'receive',
      '--listen',
      `127.0.0.1:${port}`,
      '--root',
      target.dir,
      '--state',
      join(scratch.dir, 'r'),
      ...flags,
    ]);
    await waitFor(() => started.output().includes('listening'), { timeoutMs: 60_000, what: 'the receiver' });
    return started;
  };
  const startAgent = () =>
    godwit([
      'agent',
      '--to',
      `127.0.0.1:${proxy.port}`,
      '--map',
      `${source.dir}=/`,
      '--state',
      join(scratch.dir, 'a'),
      '--once',
      '--compress',
      'never',
      ...flags,
    ]);
  const total = options.megabytes * 1e6 + 30e6;
  let receiver = await startReceive();
  let agent = startAgent();
  let kills = 0;
  let outcome = '';
  try {
    while (kills < options.kills) {
      const killAt = proxy.sent() + next() * (total / options.kills) * 0.8;
      await waitFor(() => proxy.sent() >= killAt || agent.child.exitCode !== null, {
        timeoutMs: 60_000,
        what: 'the next kill',
        intervalMs: 2,
      });
      if (agent.child.exitCode !== null) break;
      const isAgent = next() < 0.5;
      const victim = isAgent ? agent.child : receiver.child;
      victim.kill('SIGKILL');
      await once(victim, 'close');
      kills += 1;
      if (isAgent) agent = startAgent();
      else receiver = await startReceive();
    }
    if (agent.child.exitCode === null) await once(agent.child, 'close');
    outcome = agent.output().includes('proven: ') ? 'proven' : agent.output();
    return {
      outcome,
      kills,
      resent: Math.max(0, proxy.sent() - total),
      total,
      found: await differences(source.dir, target.dir),
    };
  } finally {
    for (const { child } of [agent, receiver]) if (child.exitCode === null) child.kill('SIGKILL');
    proxy.close();
  }
}
