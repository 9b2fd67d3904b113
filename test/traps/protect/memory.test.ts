/** What the primary has in memory of a long backlog. */
import { expect, test } from 'vitest';
import { Bench, SECTOR } from './bench.ts';

const MEMORY = 8 * 1024;
const BLOCK = 2 * SECTOR + 64;

async function backlog(): Promise<{ bench: Bench; count: number }> {
  const bench = await Bench.started({ ringBytes: 256 * 1024, slots: 1024, memoryBytes: MEMORY });
  await bench.written(0);
  bench.holdData = true;
  let count = 0;
  for (; count < 150; count += 1) await bench.written((count * 7) % 60, 2);
  return { bench, count };
}

test('of a backlog the primary keeps only so much in memory; the rest is read back, and arrives', async () => {
  const { bench, count } = await backlog();
  const { engine } = bench.primary;
  if (engine === undefined) throw new Error('The primary has died');
  // All of it is in the ring: nothing was let go of.
  expect(engine.history.last.place - engine.history.base.place).toBeGreaterThanOrEqual(count * BLOCK);
  expect(engine.store.blocks.bytes).toBeLessThanOrEqual(MEMORY + BLOCK);
  bench.holdData = false;
  await bench.until(() => bench.dr.engine?.standing.base.sequence === engine.history.last.sequence);
  expect(bench.writers('dr')).toEqual(bench.expected());
  expect(engine.store.blocks.bytes).toBeLessThanOrEqual(MEMORY + BLOCK);
});

test('an auxiliary that was away gets from the ring what is in memory no more', async () => {
  const bench = await Bench.started({
    ...{ ringBytes: 256 * 1024, slots: 1024, memoryBytes: MEMORY },
    ...{ patienceMs: 100, policy: 'seed' },
  });
  bench.holdData = true;
  bench.auxiliary.crash(true);
  for (let i = 0; i < 120; i += 1) await bench.written((i * 7) % 60, 2);
  const last = bench.records.at(-1)?.sequence ?? 0;
  bench.auxiliary.start();
  await bench.until(() => (bench.auxiliary.engine?.standing.last.sequence ?? 0) >= last);
  bench.lose('primary');
  await bench.promoted();
  expect(bench.writers('dr')).toEqual(bench.expected());
});

test('a primary that starts again with a full ring has as little of it in memory', async () => {
  const { bench } = await backlog();
  bench.primary.crash(true);
  bench.primary.start();
  await bench.until(() => bench.primary.engine?.leadership.hasLease === true);
  const { engine } = bench.primary;
  if (engine === undefined) throw new Error('The primary has died');
  expect(engine.store.blocks.bytes).toBeLessThanOrEqual(MEMORY + BLOCK);
  bench.holdData = false;
  await bench.until(() => bench.dr.engine?.standing.base.sequence === engine.history.last.sequence);
  expect(bench.writers('dr')).toEqual(bench.expected());
});

test('reads of the volume see what was written last, however little is in memory', async () => {
  const { bench } = await backlog();
  const into = Buffer.alloc(64 * SECTOR);
  let isRead = false;
  bench.world.awaiting += 1;
  void bench.primary.engine?.read(0, into).then(() => {
    isRead = true;
  });
  await bench.until(() => isRead);
  const seen = bench.expected().map((id, sector) => [id, into.readUInt32LE(sector * SECTOR)]);
  expect(seen.every(([expected, found]) => expected === found)).toBe(true);
});
