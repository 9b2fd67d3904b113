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

test('a DR that comes and goes, with holes in what it holds, is sent again what it dropped when it began anew', async () => {
  // In the last of them it holds data of after a hole, beyond the ring's tail as it is when it comes back.
  for (const seed of [100, 101, 102]) {
    const bench = await Bench.started({ seed, patienceMs: 100, ringBytes: 96 * 1024, slots: 256 });
    const { world, primary, dr } = bench;
    const { random } = world;
    const writing = async (ms: number) => {
      for (const end = world.now + ms; world.now < end; await bench.pass(1)) bench.write(random.below(60), 2);
    };
    bench.apart('primary', 'dr');
    await bench.until(() => bench.write(1, 2) && primary.engine?.modes.effective === 'no-dr');
    for (let round = 0; round < 6; round += 1) {
      bench.heal();
      const loss = random.next();
      let isShareLost = false;
      world.isLost = ({ type }) => (type === 'data' && random.chance(loss)) || (type === 'share' && isShareLost);
      await writing(random.between(20, 35));
      isShareLost = random.chance(0.7);
      await writing(random.between(5, 15));
      bench.apart('primary', 'dr');
      await writing(random.between(100, 130));
      world.isLost = () => false;
    }
    bench.heal();
    const head = primary.engine?.history;
    await bench.until(() => primary.engine?.modes.effective === 'full');
    await bench.until(() => dr.engine?.standing.base.sequence === head?.last.sequence);
    expect(bench.writers('dr')).toEqual(bench.writers('primary'));
  }
}, 60_000);
