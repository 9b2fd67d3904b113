/** Two that would lead. */
import { expect, test } from 'vitest';
import type { GodwitError } from '../../../src/kernel/errors.ts';
import { LEASE } from '../../protect-sim/lab.ts';
import { Bench } from './bench.ts';

test('cut off and replaced, the old primary answers nothing, and both others refuse its epoch', async () => {
  const bench = await Bench.started();
  await bench.written(0, 2);
  bench.apart('primary', 'dr');
  bench.apart('primary', 'auxiliary');
  const { last, epoch } = await bench.promoted();
  const late = bench.write(4, 2);
  let read: string | undefined;
  bench.primary.engine?.read(0, Buffer.alloc(512)).then(
    () => {
      read = 'served';
    },
    (error: GodwitError) => {
      read = error.code;
    },
  );
  await bench.pass(1000);
  expect({ late: late.acknowledged, read }).toEqual({ late: false, read: undefined });
  bench.heal();
  await bench.until(() => bench.primary.engine?.leadership.isDeposed === true);
  expect(late.acknowledged).toBe(false);
  expect(bench.dr.engine?.standing).toMatchObject({ activated: epoch, last: { sequence: last.sequence } });
  expect(bench.auxiliary.engine?.standing.activated).toBe(epoch);
  await bench.pass(1);
  expect(read).toBe('GW7014');
});

test('a living primary is not replaced', async () => {
  const bench = await Bench.started();
  bench.apart('primary', 'dr');
  await bench.pass(LEASE * 3);
  // The DR thinks it dead; the auxiliary, which hears it, does not vote for that.
  const outcome = await bench.promote(false, 1);
  expect((outcome as GodwitError).code).toBe('GW7012');
  bench.heal();
  expect((await bench.written(0, 1)).acknowledged).toBe(true);
});

test('a primary that was paused for a minute cannot acknowledge in its old epoch', async () => {
  const bench = await Bench.started();
  await bench.written(0, 2);
  const pending = bench.write(2, 2);
  bench.primary.pause(60_000);
  await bench.promoted();
  const after = bench.write(4, 2);
  await bench.pass(61_000);
  await bench.until(() => bench.primary.engine?.leadership.isDeposed === true);
  expect({ pending: pending.acknowledged, after: after.acknowledged }).toEqual({ pending: false, after: false });
});

test('clocks of the day that are a week apart and run at different rates change nothing', async () => {
  for (let seed = 1; seed <= 5; seed += 1) {
    const bench = await Bench.started({ seed });
    const clocks = bench.machines.map(({ ticker }) => ticker.now());
    expect(Math.max(...clocks) - Math.min(...clocks)).toBeGreaterThan(3_600_000);
    for (let i = 0; i < 10; i += 1) await bench.written(i, 2);
    bench.lose('primary');
    expect((await bench.promoted()).manifest.lost).toEqual([]);
    expect(bench.writers('dr')).toEqual(bench.expected());
  }
});

test('an epoch that begins in the middle of a batch takes away only what nobody was promised', async () => {
  const bench = await Bench.started({ network: { jitter: 2 }, seed: 3 });
  for (let round = 0; round < 30; round += 1) {
    for (let i = 0; i < 8; i += 1) bench.write((round + i) % 40, 2);
    await bench.pass(bench.world.random.between(0, 8));
    bench.primary.crash(true);
    bench.primary.start();
    await bench.until(() => bench.primary.engine?.leadership.hasLease === true);
  }
  await bench.until(() => bench.dr.engine?.standing.base.sequence === bench.primary.engine?.history.last.sequence);
  const image = bench.writers('primary');
  expect(bench.writers('dr')).toEqual(image);
  const survived = new Set(image);
  expect(survived.has(-1)).toBe(false);
});
