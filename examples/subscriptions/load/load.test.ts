import { afterEach, expect, test } from 'vitest';
import { type Fault, FaultyService } from './faulty-service.test-support.ts';
import { History, type Person } from './history.ts';
import { Load } from './load.ts';

let service: FaultyService | undefined;
afterEach(() => service?.close());

/** Runs the load against a service with this fault until so many requests were answered, and judges the end. */
async function run(fault: Fault, requests = 1500) {
  service = new FaultyService(fault);
  const history = new History();
  for (let id = 1; id <= 300; id += 1) {
    const look: Person = {
      email: `${id}@x`,
      name: 'Ann',
      subscriptions: [{ plan: 'room', amount: id, started: '2026-01-01T00:00:00Z' }],
    };
    history.know(String(id), look);
    service.customers.set(String(id), { now: look, before: look });
  }
  const load = new Load(history, { ports: [await service.listen(), await service.listen()], perSecond: 1000, seed: 7 });
  load.start();
  while (load.tally.reads + load.tally.writes < requests) await new Promise((done) => setTimeout(done, 10));
  await load.stop();
  const whole = new Map([...service.customers].flatMap(([id, { now }]) => (now ? [[id, now] as const] : [])));
  return { ...load.tally, ...history.endWhole(history.beginWhole(), whole) };
}

test('a service that keeps its word is found right', async () => {
  const found = await run('none');
  expect(found).toMatchObject({ failed: 0, stale: 0, wrong: 0, missing: 0, extra: 0, mismatched: 0 });
  expect(found.writes).toBeGreaterThan(300);
});

test('stale reads are found', async () => {
  expect((await run('stale')).stale).toBeGreaterThan(0);
});

test('lost writes are found: at once by the read that follows, and at the end', async () => {
  const found = await run('lost');
  expect(found.stale).toBeGreaterThan(0);
  expect(found.missing + found.extra + found.mismatched).toBeGreaterThan(0);
});

test('doubled rows are found', async () => {
  const found = await run('doubled');
  expect(found.wrong).toBeGreaterThan(0);
  expect(found.stale).toBe(0);
});

test.each(['refused', 'cut'] as const)('a request that is %s is counted as failed', async (fault) => {
  expect((await run(fault)).failed).toBeGreaterThan(0);
});

test('replacing a process fails no request, and every request of the old one is answered when it resolves', async () => {
  service = new FaultyService('none');
  const [first, second] = [await service.listen(), await service.listen()];
  const history = new History();
  const load = new Load(history, { ports: [first], perSecond: 1000, seed: 3 });
  load.start();
  while (load.tally.reads < 200) await new Promise((done) => setTimeout(done, 5));
  await load.replace(first, second);
  const before = load.tally.reads;
  while (load.tally.reads < before + 200) await new Promise((done) => setTimeout(done, 5));
  await load.stop();
  expect(load.tally).toMatchObject({ failed: 0, stale: 0, wrong: 0 });
  await expect(load.replace(first, second)).rejects.toThrow(/nothing is sent/);
});
