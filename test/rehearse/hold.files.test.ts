/** The staging root stands still for as long as somebody holds it, and never in the middle of a round. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { askHold, Hold } from '../../src/routes/relocate/hold.ts';
import { mountFresh } from '../files/file-system.ts';
import { certify, differences } from '../files/move.ts';
import { waitFor } from '../servers/wait-for.ts';
import { LiveInProcess } from './live-in-process.ts';

const never = new AbortController().signal;
const PATIENCE = { timeoutMs: 60_000 };

function plant(dir: string, count: number, bytes: number): void {
  mkdirSync(join(dir, 'd'));
  for (let at = 0; at < count; at += 1) writeFileSync(join(dir, 'd', String(at)), Buffer.alloc(bytes, at));
}

test('while it is held the target stands still, and what the source wrote meanwhile comes afterwards', async () => {
  await using source = await mountFresh('ext4');
  await using target = await mountFresh('ext4');
  await using live = new LiveInProcess();
  plant(source.dir, 100, 2000);
  await live.startReceive(target.dir);
  live.startAgent(source.dir);
  await live.follows();
  {
    using held = await askHold(live.state, never);
    expect(held.between).toBe('yes');
    const before = await certify(target.dir);
    writeFileSync(join(source.dir, 'later'), 'written while it was held');
    // Rounds come every half a second; this one waits.
    await waitFor(async () => ((await live.status()).lagSeconds ?? 0) > 4, { ...PATIENCE, what: 'a round that waits' });
    expect(existsSync(join(target.dir, 'later'))).toBe(false);
    expect(await certify(target.dir)).toBe(before);
  }
  const arrived = join(target.dir, 'later');
  await waitFor(() => existsSync(arrived), { ...PATIENCE, what: 'the file that was written while it was held' });
  await waitFor(() => readFileSync(arrived, 'utf8') === 'written while it was held', { ...PATIENCE, what: 'its text' });
});

test('it is granted at the end of a round, with all that the round sends', async () => {
  await using source = await mountFresh('ext4');
  await using target = await mountFresh('ext4');
  await using live = new LiveInProcess();
  plant(source.dir, 60, 100_000);
  await live.startReceive(target.dir);
  live.startAgent(source.dir, { maxRate: 2_000_000 });
  await waitFor(() => existsSync(join(target.dir, 'd/1')), { ...PATIENCE, what: 'the first files' });
  expect(existsSync(join(target.dir, 'd/9'))).toBe(false);
  using held = await askHold(live.state, never);
  expect(held.between).toBe('yes');
  expect(await differences(source.dir, target.dir)).toEqual([]);
});

test('without a source it is granted at once, and says whether a round was cut off', async () => {
  await using source = await mountFresh('ext4');
  await using target = await mountFresh('ext4');
  await using live = new LiveInProcess();
  plant(source.dir, 60, 100_000);
  await live.startReceive(target.dir);
  {
    using held = await askHold(live.state, never);
    expect(held.between).toBe('unknown');
  }
  live.startAgent(source.dir, { maxRate: 1_000_000 });
  await waitFor(() => existsSync(join(target.dir, 'd/1')), { ...PATIENCE, what: 'the first files' });
  await live.endAgent();
  {
    using held = await askHold(live.state, never);
    expect(held.between).toBe('no');
  }
  // It goes on as if nothing had been.
  live.startAgent(source.dir);
  await live.follows();
  expect(await differences(source.dir, target.dir)).toEqual([]);
});

test('the state may lie deep, where a socket could not have its whole name', async () => {
  await using live = new LiveInProcess();
  const state = join(live.dir, 'd'.repeat(120));
  mkdirSync(state);
  await using hold = await Hold.open(state);
  using held = await askHold(state, never);
  expect(held.between).toBe('unknown');
  hold.roundEnded();
  using again = await askHold(state, never);
  expect(again.between).toBe('yes');
});

test('where no receiver runs, that is said', async () => {
  await using live = new LiveInProcess();
  await expect(askHold(live.dir, never)).rejects.toMatchObject({ code: 'GW1004' });
});
