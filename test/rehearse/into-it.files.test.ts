/** The machine of the target goes away as soon as its services run: it starts into the system that was moved. */
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { commit, cutover, rollback } from '../../src/routes/relocate/index.ts';
import { mountFresh } from '../files/file-system.ts';
import { waitFor } from '../servers/wait-for.ts';
import { LiveInProcess } from './live-in-process.ts';

const never = new AbortController().signal;

/** Up to the moment when the target has said that its services run, and its receiver is gone. */
async function startedInto(live: LiveInProcess, source: string, target: string): Promise<void> {
  mkdirSync(join(source, 'etc'));
  writeFileSync(join(source, 'etc/hostname'), 'shop\n');
  const runs = join(live.dir, 'runs');
  await live.startReceive(target, { startCommand: `touch ${runs}`, stopCommand: `rm -f ${runs}` });
  const services = { stopCommand: 'true', resumeCommand: 'true', commandTimeout: 60 };
  live.startAgent(source, { services, retryFor: 2 });
  await live.follows();
  const { outcome } = await cutover(live.agentState, { maxStall: 60, dryRun: false }, never);
  expect(outcome).toBe('running');
  await live.endReceive();
  expect(existsSync(runs)).toBe(true);
}

test('the move is committed without a receiver', async () => {
  await using source = await mountFresh('ext4');
  await using target = await mountFresh('ext4');
  await using live = new LiveInProcess();
  await startedInto(live, source.dir, target.dir);
  expect((await commit(live.agentState, never)).phase).toBe('committed');
  expect(await live.ended).toMatchObject({ outcome: 'committed' });
});

test('the way back waits for the word of the system that the target had before, and takes it', async () => {
  await using source = await mountFresh('ext4');
  await using target = await mountFresh('ext4');
  await using live = new LiveInProcess();
  await startedInto(live, source.dir, target.dir);
  // What the moved system wrote while it ran, and what it lost.
  writeFileSync(join(target.dir, 'etc/hostname'), 'other\n');
  writeFileSync(join(target.dir, 'etc/made-there'), '');
  rmSync(join(live.dir, 'runs'));
  await expect(rollback(live.agentState, never)).rejects.toMatchObject({ code: 'GW3004' });
  expect((await live.status()).holds).toBe('target');

  await live.startReceive(target.dir, { startCommand: 'false', stopCommand: 'true' });
  if ((await live.status()).isRunning) await rollback(live.agentState, never);
  else live.startAgent(source.dir, { retryFor: 30 });
  await waitFor(async () => (await live.status()).phase === 'following', { timeoutMs: 60_000, what: 'the way back' });
  // Whatever the target's files became, they follow the source again.
  const follows = () =>
    readFileSync(join(target.dir, 'etc/hostname'), 'utf8') === 'shop\n' &&
    !existsSync(join(target.dir, 'etc/made-there'));
  await waitFor(follows, { timeoutMs: 60_000, what: 'the files of the source at the target' });
});
