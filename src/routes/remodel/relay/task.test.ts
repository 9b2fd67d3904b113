import { expect, test } from 'vitest';
import { GodwitError } from '../../../kernel/errors.ts';
import type { GodwitEvent } from '../process/index.ts';
import { Task } from './task.ts';

function makeTask(round: () => Promise<boolean>, mostMs = 5): { task: Task; events: GodwitEvent[] } {
  const events: GodwitEvent[] = [];
  const task = new Task({
    remodel: 'x',
    task: 'relay',
    leastMs: 1,
    mostMs,
    round,
    onEvent: (event) => events.push(event),
  });
  return { task, events };
}

test('failures of any kind are shown, and the task goes on', async () => {
  let rounds = 0;
  let done: () => void = () => undefined;
  const fourth = new Promise<void>((resolve) => {
    done = resolve;
  });
  const { task, events } = makeTask(async () => {
    rounds += 1;
    if (rounds === 1) throw new GodwitError('GW3001', 'gone: postgres://u:secret@h/db');
    if (rounds === 2) throw new TypeError('row of customer 7');
    if (rounds === 4) done();
    return false;
  });
  task.start();
  await fourth;
  expect(task.status()).toMatchObject({ isRunning: true, failures: 0 });
  await task.close();
  expect(events).toMatchObject([
    { kind: 'relay-failed', code: 'GW3001', error: 'gone: postgres://u:***@h/db' },
    { kind: 'relay-failed', code: 'GW9001', error: 'TypeError' },
    { kind: 'relay-recovered', failures: 2 },
  ]);
  expect(task.status()).toMatchObject({ isRunning: false, lastError: { code: 'GW9001' } });
});

test('a wake-up cuts a long pause short, and close ends one', async () => {
  let rounds = 0;
  let seen: () => void = () => undefined;
  const { task } = makeTask(async () => {
    rounds += 1;
    seen();
    return false;
  }, 3_600_000);
  const round = (n: number) =>
    new Promise<void>((resolve) => {
      seen = () => (rounds >= n ? resolve() : undefined);
    });
  const first = round(1);
  task.start();
  await first;
  // Pauses double from 1 ms: without wake-ups the thirtieth round would be days away.
  for (let n = 2; n <= 30; n++) {
    const next = round(n);
    task.wake();
    await next;
  }
  await task.close();
  expect(rounds).toBeGreaterThanOrEqual(30);
});
