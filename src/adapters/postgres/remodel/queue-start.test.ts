import { expect, test } from 'vitest';
import { QueueStart } from './queue-start.ts';

test('a look leaves out what is much older than the oldest of the last one', () => {
  const start = new QueueStart();
  const first = start.begin(10_000);
  expect(first.mostAgeMs).toBeUndefined();
  first.end(10_001, 300);
  const second = start.begin(10_050);
  // The oldest was of 9,700, and a second older is looked for.
  expect(second.mostAgeMs).toBe(1_350);
  second.end(10_051, undefined);
});

test('now and then, and when nothing is found, a look begins at the first', () => {
  const start = new QueueStart();
  start.begin(0).end(1, 5);
  expect(start.begin(400).mostAgeMs).toBeDefined();
  expect(start.begin(501).mostAgeMs).toBeUndefined();
  start.begin(100).end(101, undefined);
  expect(start.begin(102).mostAgeMs).toBeUndefined();
});

test('whole looks that take long are rare', () => {
  const start = new QueueStart();
  start.begin(0).end(100, undefined);
  expect(start.begin(2_099).mostAgeMs).toBe(3_099);
  expect(start.begin(2_100).mostAgeMs).toBeUndefined();
});
