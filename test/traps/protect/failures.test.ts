/** One machine gone, and two. */
import { expect, test } from 'vitest';
import { GodwitError } from '../../../src/kernel/errors.ts';
import { Bench, type Written } from './bench.ts';

/** Data does not get through to the DR; order does. */
function withoutData(bench: Bench): void {
  const { engine } = bench.dr;
  const receive = engine?.receive.bind(engine);
  if (engine === undefined || receive === undefined) throw new Error('It does not run');
  engine.receive = (from, message) => {
    if (message.type !== 'data') receive(from, message);
  };
}

test('order acknowledged, payload missing when the primary dies: fetched from the auxiliary', async () => {
  const bench = await Bench.started();
  withoutData(bench);
  for (let i = 0; i < 20; i += 1) await bench.written(i * 2, 3);
  // The auxiliary hears of the last one's state with the next message.
  await bench.pass(100);
  bench.lose('primary');
  const { manifest, targets, queued, last } = await bench.promoted();
  expect(manifest.lost).toEqual([]);
  // All were sent: the document's target operations.
  expect({ targets, queued }).toEqual({ targets: 20, queued: 0 });
  expect(bench.writers('dr')).toEqual(bench.expected());
  expect(last.sequence).toBe(bench.records.at(-1)?.sequence);
});

test('with the auxiliary gone too, the manifest names exactly those operations', async () => {
  const bench = await Bench.started();
  for (let i = 0; i < 5; i += 1) await bench.written(i, 2);
  await bench.until(() => bench.dr.engine?.standing.base.sequence === bench.records.at(-1)?.sequence);
  withoutData(bench);
  const lost: Written[] = [];
  for (let i = 0; i < 7; i += 1) lost.push(await bench.written(10 + i, 2));
  bench.lose('auxiliary');
  bench.lose('primary');
  const { manifest, last } = await bench.promoted(true);
  const truth = bench.records.filter(({ sequence }) => lost.some((each) => each.sequence === sequence));
  expect(manifest.lost.map(({ sequence, offset, length, time }) => ({ sequence, offset, length, time }))).toEqual(
    truth.map(({ sequence, offset, length, time }) => ({ sequence, offset, length, time })),
  );
  expect(manifest.complete).toBe(false);
  expect(bench.writers('dr')).toEqual(bench.expected(last.sequence));
});

test('a restarted auxiliary does not know what was copied, and nothing is taken for copied', async () => {
  const bench = await Bench.started();
  withoutData(bench);
  for (let i = 0; i < 10; i += 1) await bench.written(i * 2, 3);
  bench.auxiliary.crash(true);
  bench.lose('primary');
  bench.auxiliary.start();
  const { manifest, targets, queued } = await bench.promoted();
  expect({ targets, queued, lost: manifest.lost.length }).toEqual({ targets: 0, queued: 10, lost: 0 });
  expect(bench.writers('dr')).toEqual(bench.expected());
});

test('data at the DR that does not match its hash counts as not copied', async () => {
  const bench = await Bench.started();
  bench.world.cut.add('dr>primary');
  await bench.pass(1);
  bench.heal();
  const written = bench.write(3, 2);
  await bench.until(() => written.acknowledged);
  const { engine } = bench.dr;
  // It is held until its turn; on the disk it rots.
  await bench.until(() => engine?.history.at(written.sequence)?.stored !== false);
  bench.lose('primary');
  bench.dr.crash(false);
  const place = bench.records.find(({ sequence }) => sequence === written.sequence)?.place ?? 0;
  bench.dr.area('suspended').content.fill(0xaa, place + 64, place + 128);
  bench.dr.start();
  const { manifest } = await bench.promoted();
  expect(manifest.lost).toEqual([]);
  expect(bench.writers('dr')).toEqual(bench.expected());
});

test('without the auxiliary, the mode is in the order before anything is acknowledged by it; back, it is refilled', async () => {
  const bench = await Bench.started({ patienceMs: 100 });
  await bench.written(0, 2);
  bench.auxiliary.crash(true);
  const written = bench.write(2, 2);
  await bench.until(() => written.acknowledged);
  const mode = bench.records.find(({ kind }) => kind === 'mode');
  expect(mode?.offset).toBe(1);
  // By then it is at the DR, durably: order and data of the operation too.
  expect(bench.dr.engine?.standing.last.sequence).toBeGreaterThanOrEqual(mode?.sequence ?? 0);
  bench.auxiliary.start();
  await bench.until(() => bench.primary.engine?.modes.effective === 'full');
  const after = await bench.written(4, 2);
  expect(bench.auxiliary.engine?.standing.last.sequence).toBeGreaterThanOrEqual(after.sequence);
  bench.lose('primary');
  expect((await bench.promoted()).manifest.lost).toEqual([]);
  expect(bench.writers('dr')).toEqual(bench.expected());
});

test('of two machines gone, the one that is left promises nothing', async () => {
  for (const roles of [
    ['auxiliary', 'dr'],
    ['dr', 'auxiliary'],
  ] as const) {
    const bench = await Bench.started({ patienceMs: 100 });
    await bench.written(0, 2);
    bench.lose(roles[0]);
    await bench.pass(400);
    bench.lose(roles[1]);
    await bench.pass(200);
    const written = bench.write(2, 2);
    await bench.pass(3000);
    expect(written.acknowledged).toBe(false);
  }
});

test('a DR that was away is not promoted, unless by force, and then it says so', async () => {
  const bench = await Bench.started({ patienceMs: 100, ringBytes: 24 * 1024, slots: 128 });
  bench.dr.crash(true);
  for (let i = 0; i < 60; i += 1) await bench.written(i % 32, 2);
  bench.lose('primary');
  bench.dr.start();
  const refused = await bench.promote();
  expect(refused).toBeInstanceOf(GodwitError);
  expect((refused as GodwitError).code).toBe('GW7013');
  const forced = await bench.promoted(true);
  expect(forced.manifest.complete).toBe(false);
});

test('a DR killed while it executes, 500 times, ends with the same image', async () => {
  const bench = await Bench.started({ sectors: 32, slots: 1024 });
  let kills = 0;
  for (let i = 0; kills < 500; i += 1) {
    if (i < 400) bench.write(i % 28, 1 + (i % 4));
    await bench.pass(bench.world.random.between(0.1, 3));
    bench.dr.crash(bench.world.random.chance(0.7));
    kills += 1;
    bench.dr.start();
    await bench.pass(bench.world.random.between(0.5, 12));
  }
  await bench.until(() => bench.dr.engine?.standing.base.sequence === bench.records.at(-1)?.sequence, 60_000);
  expect(bench.writers('dr')).toEqual(bench.expected());
}, 60_000);

test('a full disk at the DR stops its image and nothing else; with space it goes on', async () => {
  const bench = await Bench.started();
  bench.dr.area('image').fullUntil = bench.world.now + 500;
  const writes = Array.from({ length: 10 }, (_, i) => bench.write(i, 2));
  await bench.until(() => writes.every(({ acknowledged }) => acknowledged));
  expect(bench.world.now).toBeLessThan(500);
  expect(bench.dr.engine?.standing.base.sequence).toBeLessThan(writes[0]?.sequence ?? 0);
  await bench.until(() => bench.dr.engine?.standing.base.sequence === bench.records.at(-1)?.sequence);
  expect(bench.writers('dr')).toEqual(bench.expected());
});
