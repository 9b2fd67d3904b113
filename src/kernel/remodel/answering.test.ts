import { expect, test } from 'vitest';
import { systemClock } from '../clock.ts';
import { Answering } from './answering.ts';

/** A conversation whose answers are decided by `answer`; remembers the batches and what became of each message. */
function converse(answer: (ids: readonly string[]) => Promise<void> = async () => {}) {
  const batches: string[][] = [];
  const fates: string[] = [];
  const failures: unknown[] = [];
  const answering = new Answering({
    answer: (ids) => {
      batches.push([...ids]);
      return answer(ids);
    },
    clock: systemClock,
    onAnswered: () => {},
    onFailed: (error) => failures.push(error),
  });
  const hear = (identity: string, timesBefore = 0) =>
    answering.hear({
      identity,
      timesBefore,
      done: () => fates.push(`${identity} done`),
      again: (delayMs) => fates.push(`${identity} again in ${delayMs}`),
    });
  const until = async (condition: () => boolean) => {
    while (!condition()) await new Promise((resolve) => setImmediate(resolve));
  };
  return { answering, hear, batches, fates, failures, until };
}

test('messages that come together are answered together, each identity once', async () => {
  const { answering, hear, batches, fates, until } = converse();
  for (const id of ['a', 'b', 'a', 'c']) hear(id);
  await until(() => fates.length === 4);
  expect(batches).toEqual([['a', 'b', 'c']]);
  expect(fates).toEqual(['a done', 'b done', 'a done', 'c done']);
  expect(await answering.stop()).toEqual([]);
});

test('at most a hundred at a time, in order, none left behind', async () => {
  const { answering, hear, batches, fates, until } = converse();
  const ids = Array.from({ length: 250 }, (_, i) => String(i));
  for (const id of ids) hear(id);
  await until(() => fates.length === 250);
  expect(batches.map(({ length }) => length)).toEqual([100, 100, 50]);
  expect(batches.flat()).toEqual(ids);
  await answering.stop();
});

test('what came back is answered in smaller company, at last alone; it waits longer each time', async () => {
  const wrong = new Error('wrong');
  const { answering, hear, batches, fates, failures, until } = converse(async (ids) => {
    if (ids.includes('bad')) throw wrong;
  });
  for (let i = 0; i < 30; i++) hear(`once-${i}`, 1);
  hear('bad', 7);
  hear('fresh', 0);
  hear('fresh-too', 0);
  await until(() => fates.length === 33);
  expect(batches.map(({ length }) => length)).toEqual([25, 5, 1, 2]);
  expect(batches[2]).toEqual(['bad']);
  expect(fates).toContain('bad again in 5000');
  expect(failures).toEqual([wrong]);
  await answering.stop();

  const first = converse(async () => Promise.reject(wrong));
  first.hear('x');
  await first.until(() => first.fates.length === 1);
  expect(first.fates).toEqual(['x again in 50']);
  await first.answering.stop();
});

test('one answer at a time; stop waits for it and gives back the rest', async () => {
  let finish = () => {};
  const finished = new Promise<void>((resolve) => {
    finish = resolve;
  });
  const { answering, hear, batches, fates, until } = converse(() => finished);
  hear('a');
  await until(() => batches.length === 1);
  hear('b');
  hear('c');
  let stopped = false;
  const rest = answering.stop().finally(() => {
    stopped = true;
  });
  await new Promise((resolve) => setTimeout(resolve, 20));
  expect({ stopped, batches }).toEqual({ stopped: false, batches: [['a']] });
  finish();
  expect((await rest).map(({ identity }) => identity)).toEqual(['b', 'c']);
  expect(fates).toEqual(['a done']);
  expect(await answering.stop()).toEqual([]);
});

test('tells when there is room for more', async () => {
  const turns: (() => void)[] = [];
  const { answering, hear, until } = converse(() => new Promise((resolve) => turns.push(resolve)));
  for (let i = 0; i < 250; i++) hear(String(i));
  await until(() => turns.length === 1); // 150 wait
  expect(await answering.waiting(150)).toBe(150);
  let waiting: number | undefined;
  void answering.waiting(60).then((count) => {
    waiting = count;
  });
  await new Promise((resolve) => setImmediate(resolve));
  expect(waiting).toBeUndefined();
  turns[0]?.();
  await until(() => waiting !== undefined);
  expect(waiting).toBe(50);
  const never = answering.waiting(-1);
  turns[1]?.();
  await until(() => turns.length === 2);
  const stopping = answering.stop();
  turns[1]?.();
  await Promise.all([stopping, never]);
});
