/** The DR's image and the primary's volume compared while both live. */
import { expect, test } from 'vitest';
import { GodwitError } from '../../../src/kernel/errors.ts';
import { Verification, type Verified } from '../../../src/routes/protect/engine/verification.ts';
import { Bench, SECTOR } from './bench.ts';

const CHUNK = 2 * SECTOR;

async function verified(bench: Bench, mend = false): Promise<Verified | GodwitError> {
  let outcome: Verified | GodwitError | undefined;
  const primary = bench.primary.engine;
  if (primary === undefined) throw new Error('It does not run');
  const options = { mend, patienceMs: 2000, retryMs: 60 };
  primary.verification = new Verification(primary, options, (each) => {
    outcome = each;
  });
  primary.verification.start();
  await bench.until(() => outcome !== undefined);
  return outcome as Verified | GodwitError;
}

/** Bends bytes on the DR's disk, behind its back. */
function bend(bench: Bench, ...chunks: readonly number[]): void {
  const { content } = bench.dr.area('image');
  for (const chunk of chunks) content[chunk * CHUNK + 7] = (content[chunk * CHUNK + 7] as number) ^ 1;
}

/** Writes that go on, all over the volume and most of all in one place, until the test ends them. */
function load(bench: Bench): () => void {
  let isOver = false;
  let left = 4000;
  const step = () => {
    if (isOver || left === 0) return;
    left -= 1;
    const { random } = bench.world;
    bench.write(random.chance(0.7) ? 5 : random.below(bench.sectors - 2), random.pick([1, 2]));
    bench.world.after(random.between(0.1, 2), step);
  };
  step();
  return () => {
    isOver = true;
  };
}

test('equal images are found equal while writers go on, in one place all the time; links lose, double and reorder', async () => {
  for (let seed = 1; seed <= 15; seed += 1) {
    const network = { jitter: 1, loss: seed % 3 === 0 ? 0.1 : 0, doubled: 0.05, far: seed % 2 === 0 ? 20 : 2 };
    const bench = await Bench.started({ seed, sectors: 1024, network, memoryBytes: 1 << 20 });
    const end = load(bench);
    await bench.pass(50);
    const outcome = await verified(bench);
    expect(outcome, `seed ${seed}`).toMatchObject({ differing: [], bytes: 1024 * SECTOR });
    // It was a comparison of moving things.
    if (!(outcome instanceof GodwitError)) expect(outcome.to).toBeGreaterThan(outcome.from);
    end();
  }
}, 60_000);

test('bent bytes are found and named, under load too, and nothing else is', async () => {
  for (let seed = 1; seed <= 6; seed += 1) {
    const bench = await Bench.started({ seed, sectors: 256, network: { jitter: 0.5 }, memoryBytes: 1 << 20 });
    for (let i = 0; i < 20; i += 1) await bench.written(i * 3, 2);
    await bench.pass(200);
    bend(bench, 40, 100, 127);
    // Nothing is written to those chunks.
    const end = seed % 2 === 0 ? load(Object.assign(bench, { sectors: 60 })) : () => {};
    const outcome = await verified(bench);
    end();
    if (outcome instanceof GodwitError) throw outcome;
    expect(outcome.differing.map(({ number }) => number)).toEqual([40, 100, 127]);
    expect(outcome.differing[0]).toEqual({ number: 40, offset: 40 * CHUNK, length: CHUNK });
  }
}, 60_000);

test('what differs is sent again where that is wanted, and proved the same after that', async () => {
  const bench = await Bench.started({ sectors: 256, memoryBytes: 1 << 20 });
  for (let i = 0; i < 20; i += 1) await bench.written(i * 3, 2);
  await bench.pass(200);
  bend(bench, 3, 90);
  const end = load(bench);
  const outcome = await verified(bench, true);
  end();
  if (outcome instanceof GodwitError) throw outcome;
  expect(outcome.differing).toEqual([]);
  expect(outcome.mended.map(({ number }) => number)).toContain(90);
  await bench.until(() => bench.dr.engine?.standing.base.sequence === bench.primary.engine?.history.last.sequence);
  expect(bench.dr.area('image').content.equals(bench.primary.area('image').content)).toBe(true);
  expect(await verified(bench)).toMatchObject({ differing: [], mended: [] });
});

test('a DR that dies in the middle, and a link that is away for a while, only make it last longer', async () => {
  for (let seed = 1; seed <= 8; seed += 1) {
    const bench = await Bench.started({ seed, sectors: 1024, memoryBytes: 1 << 20 });
    const end = load(bench);
    await bench.pass(100);
    const { world, dr } = bench;
    world.after(world.random.between(1, 40), () => {
      dr.crash(seed % 2 === 0);
      dr.start();
    });
    world.after(world.random.between(40, 80), () => world.cut.add('dr>primary'));
    world.after(300, () => world.cut.delete('dr>primary'));
    expect(await verified(bench), `seed ${seed}`).toMatchObject({ differing: [] });
    end();
  }
}, 60_000);

test('a DR that does not answer, or has missed operations, is not compared, and that is said', async () => {
  const bench = await Bench.started({ patienceMs: 100 });
  await bench.written(0, 2);
  bench.dr.crash(true);
  const outcome = await verified(bench);
  expect(outcome).toMatchObject({ code: 'GW7019' });
  await bench.until(() => bench.primary.engine?.modes.effective === 'no-dr');
  expect(await verified(bench)).toMatchObject({ code: 'GW7019' });
});
