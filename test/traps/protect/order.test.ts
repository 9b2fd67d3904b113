/** Order, overlap, torn writes and full rings. */
import { expect, test } from 'vitest';
import { Bench } from './bench.ts';

test('data that arrives permuted and doubled is executed by order', async () => {
  const bench = await Bench.started({ network: { jitter: 4, doubled: 0.5, loss: 0.05 }, seed: 11 });
  for (let i = 0; i < 120; i += 1) {
    bench.write((i * 7) % 60, 1 + (i % 4));
    await bench.pass(1);
  }
  await bench.until(() => bench.dr.engine?.standing.base.sequence === bench.records.at(-1)?.sequence);
  expect(bench.writers('dr')).toEqual(bench.expected());
  expect(bench.writers('primary')).toEqual(bench.expected());
});

test('of overlapping writes under way at once the later one wins, sector by sector', async () => {
  const bench = await Bench.started({ network: { jitter: 4 }, seed: 5 });
  for (let round = 0; round < 20; round += 1) {
    bench.write(8, 8);
    bench.write(12, 8);
    bench.write(10, 3);
    bench.write(8 + (round % 8), 1);
    await bench.pass(3);
  }
  await bench.until(() => bench.dr.engine?.standing.base.sequence === bench.records.at(-1)?.sequence);
  expect(bench.writers('dr')).toEqual(bench.expected());
});

test('a half-written record or block ends the history there, on every role', async () => {
  const bench = await Bench.started();
  const kept = await bench.written(0, 4);
  const torn = await bench.written(4, 4);
  for (const [role, area, place] of [
    ['primary', 'ring', bench.records.at(-1)?.place],
    ['auxiliary', 'ring', bench.records.at(-1)?.place],
    ['dr', 'orders', (torn.sequence % 512) * 64],
  ] as const) {
    const machine = bench[role];
    machine.crash(false);
    // Half of the record is of what lay there before.
    machine.area(area).content.fill(0, (place as number) + 32, (place as number) + 64);
    machine.start();
    await bench.until(() => machine.engine !== undefined);
    const last = role === 'primary' ? bench.primary.engine?.store.durable : undefined;
    const stands = role === 'primary' ? last : bench[role].engine?.standing.last.sequence;
    // The primary may have begun its new epoch in the place of what was torn.
    expect(stands).toBeGreaterThanOrEqual(kept.sequence);
    if (role !== 'primary') expect(stands).toBe(kept.sequence);
  }
});

test('a full ring makes writers wait, and loses nothing', async () => {
  const bench = await Bench.started({ ringBytes: 24 * 1024, slots: 128 });
  bench.apart('primary', 'dr');
  const writes = Array.from({ length: 60 }, (_, i) => bench.write(i % 32, 2));
  await bench.pass(1000);
  expect(writes.filter(({ acknowledged }) => acknowledged)).toEqual([]);
  expect(bench.records.length).toBeLessThan(40);
  bench.heal();
  await bench.until(() => writes.every(({ acknowledged }) => acknowledged));
  await bench.until(() => bench.dr.engine?.standing.base.sequence === bench.records.at(-1)?.sequence);
});

test('a block is free only when its data is durable at the DR; free when sent loses it', async () => {
  const outcomes = await Promise.all(
    [false, true].map(async (freeWhenSent) => {
      const bench = await Bench.started({ ringBytes: 24 * 1024, slots: 128, experiment: { freeWhenSent } });
      // Order arrives, data does not: each block is lost once on its way.
      const { engine } = bench.dr;
      const receive = engine?.receive.bind(engine);
      if (engine !== undefined && receive !== undefined) {
        engine.receive = (from, message) => {
          if (message.type !== 'data') receive(from, message);
        };
      }
      for (let i = 0; i < 80; i += 1) {
        bench.write(i % 32, 2);
        await bench.pass(5);
      }
      bench.lose('primary');
      // With blocks gone that it lacks the DR refuses; by force, what was acknowledged is missing.
      if (freeWhenSent) expect(await bench.promote()).toMatchObject({ code: 'GW7013' });
      const { last } = await bench.promoted(freeWhenSent);
      return bench.writes.filter(({ acknowledged, sequence }) => acknowledged && sequence > last.sequence).length;
    }),
  );
  expect(outcomes[0]).toBe(0);
  expect(outcomes[1]).toBeGreaterThan(0);
});
