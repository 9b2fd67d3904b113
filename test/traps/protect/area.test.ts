/** The auxiliary's area, mounted at the primary and written from there. */
import { expect, test } from 'vitest';
import { Bench } from './bench.ts';

/** Data does not get through to the DR; order does. */
function withoutData(bench: Bench): void {
  const { engine } = bench.dr;
  const receive = engine?.receive.bind(engine);
  if (engine === undefined || receive === undefined) throw new Error('It does not run');
  engine.receive = (from, message) => {
    if (message.type !== 'data') receive(from, message);
  };
}

/**
 * A write is on its way to the area when the primary loses power and what it wrote itself; it comes back, writes
 * something else at that place, which is acknowledged; then what was on its way arrives. The primary is lost.
 */
async function lateWrite(seed: number, neverRevokes: boolean) {
  const bench = await Bench.started({ seed, mounted: true, neverRevokes });
  withoutData(bench);
  await bench.written(0, 2);
  const letGo = bench.mounts.hold();
  const late = bench.write(4, 6);
  bench.primary.crash(true);
  bench.mounts.pass();
  bench.primary.start();
  await bench.until(() => bench.primary.engine?.leadership.hasLease === true);
  const epoch = bench.records.at(-1);
  const wasLost = epoch?.kind === 'epoch' && epoch.sequence === late.sequence;
  await bench.written(20, 3);
  letGo();
  await bench.pass(5);
  bench.lose('primary');
  const { manifest } = await bench.promoted();
  return { wasLost, lost: manifest.lost.length, writers: bench.writers('dr').slice(20, 23) };
}

test('what an older primary had on its way to the mounted area comes too late to change anything', async () => {
  let happened = 0;
  for (let seed = 1; seed <= 12; seed += 1) {
    const { wasLost, lost, writers } = await lateWrite(seed, false);
    expect({ lost, writers }).toEqual({ lost: 0, writers: [3, 3, 3] });
    if (wasLost) happened += 1;
  }
  expect(happened).toBeGreaterThan(2);
});

test('without taking the area back, such a late write destroys what was acknowledged', async () => {
  const destroyed: number[] = [];
  for (let seed = 1; seed <= 12; seed += 1) {
    const { wasLost, lost } = await lateWrite(seed, true);
    if (wasLost && lost > 0) destroyed.push(seed);
  }
  expect(destroyed.length).toBeGreaterThan(2);
});

test('a deposed primary changes nothing in the mounted area, and is told so by it', async () => {
  const bench = await Bench.started({ mounted: true });
  withoutData(bench);
  for (let i = 0; i < 8; i += 1) await bench.written(i * 2, 2);
  const letGo = bench.mounts.hold();
  const late = bench.write(0, 2);
  bench.mounts.pass();
  bench.apart('primary', 'dr');
  bench.apart('primary', 'auxiliary');
  const { last, manifest } = await bench.promoted();
  const before = Buffer.from(bench.auxiliary.area('ring').content);
  letGo();
  bench.write(4, 2);
  bench.heal();
  await bench.pass(500);
  expect(bench.auxiliary.area('ring').content.equals(before)).toBe(true);
  expect({ late: late.acknowledged, lost: manifest.lost.length }).toEqual({ late: false, lost: 0 });
  expect(bench.writers('dr')).toEqual(bench.expected(last.sequence));
  expect(bench.world.counts.get('refused by an area that was taken back')).toBeGreaterThan(0);
  await bench.until(() => bench.primary.engine?.leadership.isDeposed === true);
});

test('a restarted auxiliary finds in its area what was copied and what was queued', async () => {
  const bench = await Bench.started({ mounted: true });
  withoutData(bench);
  for (let i = 0; i < 10; i += 1) await bench.written(i * 2, 3);
  await bench.pass(200);
  bench.auxiliary.crash(false);
  bench.lose('primary');
  bench.auxiliary.start();
  const { manifest, targets, queued } = await bench.promoted();
  expect({ targets, queued, lost: manifest.lost.length }).toEqual({ targets: 10, queued: 0, lost: 0 });
  expect(bench.writers('dr')).toEqual(bench.expected());
});

test('a primary that begins to send what it wrote into the area before, and the other way round, loses nothing', async () => {
  const bench = await Bench.started({ mounted: true, ringBytes: 24 * 1024, slots: 96 });
  for (let round = 0; round < 6; round += 1) {
    for (let i = 0; i < 30; i += 1) await bench.written((round * 5 + i) % 40, 3);
    bench.primary.crash(round % 2 === 0);
    bench.isMounted = !bench.isMounted;
    if (round % 3 === 1) {
      bench.auxiliary.crash(true);
      bench.auxiliary.start();
    }
    bench.primary.start();
    await bench.until(() => bench.primary.engine?.leadership.hasLease === true);
  }
  withoutData(bench);
  for (let i = 0; i < 10; i += 1) await bench.written(i * 2, 3);
  bench.lose('primary');
  const { manifest } = await bench.promoted();
  expect(manifest.lost).toEqual([]);
  expect(bench.writers('dr')).toEqual(bench.expected());
});
