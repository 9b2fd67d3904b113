import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { FAILPOINTS, type Failpoint } from '../../src/kernel/failpoint.ts';
import { type ReplicaSet, startReplicaSet } from '../servers/index.ts';
import { play, type ScenarioName } from './scenarios.ts';

/** For each failpoint the scenario that reaches it, and at which passing it strikes (the first, if not told). */
const CASES: Readonly<Record<Failpoint, readonly [ScenarioName, number?]>> = {
  'plan.before-commit': ['run'],
  'plan.after-commit': ['run'],
  'copy.create.after': ['run'],
  'copy.chunk.before-first-write': ['run', 2],
  'copy.chunk.after-write': ['run', 2],
  'copy.chunk.before-done': ['run', 2],
  'copy.chunk.after-done': ['run', 2],
  'copy.indexes.before': ['run', 2],
  'copy.indexes.after': ['run', 2],
  'copy.all-done': ['run'],
  'follow.before-append': ['run', 5],
  'follow.after-append': ['run', 5],
  'follow.after-sync': ['run', 5],
  'apply.before-write': ['run', 3],
  'apply.mid-write': ['run', 3],
  'apply.after-write': ['run', 3],
  'apply.before-structure': ['run', 2],
  'apply.after-structure': ['run', 2],
  'checkpoint.before-commit': ['run', 3],
  'checkpoint.after-commit': ['run', 3],
  'spool.before-trim': ['run'],
  'verify.chunk.after': ['run', 2],
  'verify.before-verdict': ['run'],
  'verify.repair.after': ['repair'],
  'cutover.after-plan': ['cutover'],
  'cutover.after-fence': ['cutover'],
  'cutover.after-drain': ['cutover'],
  'cutover.after-finish': ['cutover'],
  'cutover.before-switch': ['cutover'],
  'cutover.after-switch': ['cutover'],
  'cutover.before-confirm': ['confirm'],
  'rollback.after-fence': ['rollback'],
  'rollback.after-drain': ['rollback'],
  'rollback.after-switch': ['rollback'],
  'rollback.before-done': ['rollback'],
};

let source: ReplicaSet;
let target: ReplicaSet;

beforeAll(async () => {
  const auth = { user: 'root', password: 'secret' };
  const quiet = { auth, setParameter: { ttlMonitorEnabled: false } };
  [source, target] = await Promise.all([
    startReplicaSet({ ...quiet, name: 'old' }),
    startReplicaSet({ ...quiet, name: 'new' }),
  ]);
});
afterAll(async () => void (await Promise.all([source?.stop(), target?.stop()])));

test('there is a case for every failpoint', () => {
  expect(Object.keys(CASES).sort()).toEqual([...FAILPOINTS].sort());
});

/** So many cases at once: most of a case is waiting for a process to start. */
const AT_ONCE = 3;
let running = 0;
const waiting: (() => void)[] = [];

async function inTurn(work: () => Promise<void>): Promise<void> {
  if (running >= AT_ONCE) await new Promise<void>((resolve) => waiting.push(resolve));
  else running += 1;
  try {
    await work();
  } finally {
    const next = waiting.shift();
    if (next === undefined) running -= 1;
    else next();
  }
}

describe.concurrent('killed at', () => {
  // The time-out includes the wait for a turn.
  test.each(FAILPOINTS)('%s, it goes on and ends byte-identical', { timeout: 600_000 }, async (name) => {
    const [scenario, hits] = CASES[name];
    await inTurn(() => play(scenario, source, target, hits === undefined ? name : `${name}:${hits}`));
  });
});
