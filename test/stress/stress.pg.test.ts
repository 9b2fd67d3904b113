/** Trap 9 with an application at work, in short; the whole of it is `npm run stress:remodel`. */
import { expect, test } from 'vitest';
import { FAULTS } from './faults.ts';
import { stress } from './stress.ts';
import { summaryOf } from './summary.ts';

/** What any machine reaches beside others; the command asks for more. */
const RATE = 500;

test('comparisons while an application writes raise no false alarm and find each kind of fault', async () => {
  const lines: string[] = [];
  const result = await stress({
    customers: 4_000,
    // Each kind of fault once, and as many without one.
    verifies: 2 * FAULTS.length,
    faultEvery: 2,
    engines: ['live', 'duckdb'],
    processes: 2,
    connections: 2,
    batch: 15,
    pace: 2 * RATE,
    compareRate: undefined,
    seed: 7,
    log: (line) => lines.push(line),
  });
  const { ok, ...summary } = summaryOf(result, RATE);
  expect(summary, lines.join('\n')).toMatchObject({ falseAlarms: [], missed: [], wrong: [] });
  expect(ok).toBe(true);
  expect(result.looks).toHaveLength(2 * FAULTS.length);
  expect(new Set(result.looks.map(({ fault }) => fault)).size).toBe(FAULTS.length + 1);
});
