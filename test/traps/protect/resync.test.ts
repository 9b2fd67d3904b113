/** A DR that was away. */
import { expect, test } from 'vitest';
import { Bench } from './bench.ts';

test('a DR that was away gets what changed, through crashes of the primary at any moment, and not a bit is lost', async () => {
  for (let seed = 1; seed <= 12; seed += 1) {
    const bench = await Bench.started({ seed, patienceMs: 100, ringBytes: 24 * 1024, slots: 128 });
    for (let i = 0; i < 10; i += 1) await bench.written(i * 3, 2);
    bench.dr.crash(true);
    for (let i = 0; i < 50; i += 1) await bench.written((i * 5) % 60, 2);
    expect(bench.primary.engine?.dirty.isEmpty).toBe(false);
    bench.dr.start();
    // Between a bit cleared and its data durable, among other moments.
    for (let i = 0; i < 4; i += 1) {
      await bench.pass(bench.world.random.between(1, 60));
      const machine = bench.world.random.chance(0.6) ? bench.primary : bench.dr;
      machine.crash(bench.world.random.chance(0.5));
      machine.start();
    }
    await bench.until(() => bench.primary.engine?.modes.effective === 'full');
    const { engine } = bench.primary;
    await bench.until(() => {
      const dr = bench.dr.engine?.standing;
      return dr !== undefined && !dr.stale && dr.base.sequence === engine?.history.last.sequence;
    });
    expect(bench.writers('dr')).toEqual(bench.writers('primary'));
    expect(bench.writers('dr')).toEqual(bench.expected());
  }
}, 60_000);

test('writes go on while a DR is brought level, and it ends with the later ones', async () => {
  const bench = await Bench.started({ patienceMs: 100, ringBytes: 48 * 1024, slots: 256 });
  bench.dr.crash(true);
  for (let i = 0; i < 120; i += 1) await bench.written((i * 5) % 60, 2);
  bench.dr.start();
  for (let i = 0; i < 60; i += 1) {
    bench.write((i * 7) % 60, 3);
    await bench.pass(4);
  }
  await bench.until(() => bench.primary.engine?.modes.effective === 'full');
  await bench.until(() => bench.dr.engine?.standing.base.sequence === bench.primary.engine?.history.last.sequence);
  expect(bench.writers('dr')).toEqual(bench.expected());
});
