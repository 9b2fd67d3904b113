import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { startReplicaSet } from '../servers/index.ts';
import { waitFor } from '../servers/wait-for.ts';
import { checkPromises, startTorture, TORTURE_KINDS, type TortureLog } from './index.ts';

test('torture does everything there is', { timeout: 90_000 }, async () => {
  await using set = await startReplicaSet({ setParameter: { ttlMonitorSleepSecs: 1 } });
  const torture = await startTorture({ uri: set.uri, seed: 1, db: 'tt', documents: 1500 });
  await sleep(2500);
  await torture.pause();
  const paused = torture.operations;
  await sleep(200);
  expect(torture.operations).toBe(paused);
  torture.resume();
  await waitFor(() => notYet(torture.counts).length === 0, { timeoutMs: 60_000, what: 'every kind of operation' });
  const log = await torture.stop();

  process.stdout.write(`${mix(log)}\n`);
  expect(log.unexpected).toEqual([]);
  expect(Object.keys(log.counts).sort()).toEqual([...TORTURE_KINDS].sort());
  expect(await checkPromises(set.uri, 'tt', log.ledger)).toEqual({ lost: 0, doubled: 0, invented: 0, sumHolds: true });
});

/** Kinds that have not been tried. */
function notYet(counts: TortureLog['counts']): string[] {
  return Object.entries(counts).flatMap(([name, { done, refused }]) => (done + refused === 0 ? [name] : []));
}

/** What was done, and how often it was refused: a kind that is only ever refused tests nothing. */
function mix(log: TortureLog): string {
  const lines = Object.entries(log.counts).map(
    ([name, { done, refused }]) => `  ${name} ${done}${refused > 0 ? ` (+${refused} refused)` : ''}`,
  );
  return [`${log.operations} operations in ${log.seconds.toFixed(1)} s`, ...lines].join('\n');
}
