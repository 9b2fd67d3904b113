import { expect, test } from 'vitest';
import { GodwitError } from './errors.ts';
import { follow } from './follow.ts';
import type { ChangeLog, ChangeSource, LogBlock } from './ports.ts';
import { earlierOf, laterOf, POSITION_ZERO, type Position } from './position.ts';

const at = (n: number) => String(n).padStart(4, '0') as Position;
const block = (n: number): LogBlock => ({ first: at(n), last: at(n), count: 1, bytes: Buffer.from([n]) });

function setUp(stream: (after: Position, signal: AbortSignal) => AsyncIterable<LogBlock>) {
  const calls: string[] = [];
  let end: Position = POSITION_ZERO;
  const log = {
    get end() {
      return end;
    },
    append: async (one: LogBlock) => {
      calls.push(`append ${one.first}`);
      end = one.last;
    },
    sync: async () => void calls.push('sync'),
  } as ChangeLog;
  const stop = new AbortController();
  const clock = { at: 0, now: () => clock.at, sleep: async () => undefined };
  const source = { stream } as ChangeSource;
  const run = (start: Position) =>
    follow({ source, log, start, retry: { clock, signal: stop.signal, deadlineMs: 60_000 }, syncEveryMs: 500 });
  return { run, calls, stop, clock };
}

test('begins at the start while the log is empty, and at its end afterwards', async () => {
  const asked: Position[] = [];
  const { run } = setUp(async function* (after) {
    asked.push(after);
    if (asked.length === 1) yield block(5);
  });
  await run(at(3));
  await run(at(3));
  await run(at(9));
  expect(asked).toEqual([at(3), at(5), at(9)]);
});

test('after a passing fault it goes on from the last block appended; nothing is lost or doubled', async () => {
  const asked: Position[] = [];
  const { run, calls, stop } = setUp(async function* (after) {
    asked.push(after);
    for (let n = Number(after) + 1; n <= 6; n += 1) {
      yield block(n);
      if (n % 2 === 0 && n < 6) throw new GodwitError('GW3001', 'Lost');
    }
    stop.abort();
  });
  await run(POSITION_ZERO);
  expect(asked).toEqual([POSITION_ZERO, at(2), at(4)]);
  expect(calls.filter((call) => call !== 'sync')).toEqual([1, 2, 3, 4, 5, 6].map((n) => `append ${at(n)}`));
  expect(calls.at(-1)).toBe('sync');
});

test('blocks are synced when they have waited long enough, and all of them at the end', async () => {
  const { run, calls, clock } = setUp(async function* () {
    for (let n = 1; n <= 4; n += 1) {
      clock.at += 300;
      yield block(n);
    }
  });
  await run(POSITION_ZERO);
  expect(calls).toEqual(['append 0001', 'append 0002', 'sync', 'append 0003', 'append 0004', 'sync', 'sync']);
});

test('lost history is thrown at once', async () => {
  let streams = 0;
  // biome-ignore lint/correctness/useYield: it fails before it has anything to give
  const { run } = setUp(async function* () {
    streams += 1;
    throw new GodwitError('GW4001', 'Rolled over');
  });
  await expect(run(at(1))).rejects.toMatchObject({ code: 'GW4001' });
  expect(streams).toBe(1);
});

test('earlier and later', () => {
  expect(laterOf(at(1), at(2))).toBe(at(2));
  expect(laterOf(POSITION_ZERO, at(0))).toBe(at(0));
  expect(earlierOf(at(2), at(1))).toBe(at(1));
  expect(earlierOf(at(1), POSITION_ZERO)).toBe(POSITION_ZERO);
});
