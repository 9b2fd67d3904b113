import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { FAILPOINTS } from '../../src/kernel/failpoint.ts';
import { type ReplicaSet, startReplicaSet } from '../servers/index.ts';
import { OF_THREE, play, type ScenarioName } from './scenarios.ts';

/** For each failpoint the scenario that reaches it, and at which passing it strikes (the first, if not told). */
const CASES: Readonly<Record<(typeof FAILPOINTS)[number], readonly [ScenarioName, number?]>> = {
  'freeze.before-lock': ['freeze'],
  'freeze.locking': ['freeze'],
  'freeze.after-lock': ['freeze'],
  'freeze.after-time-point': ['freeze'],
  'freeze.before-release': ['freeze'],
  'freeze.after-release': ['freeze'],
  'freeze.caught-up': ['freeze'],
  'watchdog.before-lock': ['watchdog'],
  'watchdog.after-lock': ['watchdog'],
  'watchdog.before-unlock': ['watchdog'],
  'watchdog.after-unlock': ['watchdog'],
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
  'resync.before-commit': ['resync'],
  'resync.after-commit': ['resync'],
  'resync.structure.mid': ['resync', 2],
  'resync.structure.after': ['resync'],
  'resync.after-scan': ['resync'],
  'resync.before-write': ['resync', 2],
  'resync.mid-write': ['resync', 2],
  'resync.after-write': ['resync', 2],
  'resync.chunk.before-done': ['resync', 2],
  'resync.all-done': ['resync'],
  'resync.before-verdict': ['resync'],
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
/** A source of which a member can stand still. */
let three: ReplicaSet;
let target: ReplicaSet;
/** A source with a small log, for those who lose it. One at a time: each would lose that of the others. */
let forgetful: ReplicaSet;

beforeAll(async () => {
  const auth = { user: 'root', password: 'secret' };
  const quiet = { auth, setParameter: { ttlMonitorEnabled: false } };
  [source, three, forgetful, target] = await Promise.all([
    startReplicaSet({ ...quiet, name: 'old' }),
    startReplicaSet({ ...quiet, name: 'three', members: 3, memberConfig: [{ priority: 2 }, {}, {}] }),
    startReplicaSet({ ...quiet, name: 'forgetful', oplogSizeMB: 16, checkpointSeconds: 1 }),
    startReplicaSet({ ...quiet, name: 'new' }),
  ]);
});
afterAll(async () => void (await Promise.all([source, three, forgetful, target].map((set) => set?.stop()))));

test('there is a case for every failpoint', () => {
  expect(Object.keys(CASES).sort()).toEqual([...FAILPOINTS].sort());
});

/** So many cases at once: most of a case is waiting for a process to start. */
const AT_ONCE = 3;

/** Hands out turns, first come first served. */
class Turns {
  #free: number;
  readonly #waiting: (() => void)[] = [];

  constructor(atOnce: number) {
    this.#free = atOnce;
  }

  async use(work: () => Promise<void>): Promise<void> {
    if (this.#free > 0) this.#free -= 1;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    try {
      await work();
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#free += 1;
      else next();
    }
  }
}

const any = new Turns(AT_ONCE);
/** Only one member of three may stand still at a time. */
const frozen = new Turns(1);

function inTurn(scenario: ScenarioName, work: () => Promise<void>): Promise<void> {
  return OF_THREE.has(scenario) ? frozen.use(() => any.use(work)) : any.use(work);
}

/** Every place takes minutes; without `GODWIT_KILLS=all` each part of a run is struck at one place. */
function chosen<T extends string>(places: readonly T[]): readonly T[] {
  if (process.env['GODWIT_KILLS'] === 'all') return places;
  const part = (place: string) => place.slice(0, place.indexOf('.'));
  return places.filter((place, i) => places.findIndex((other) => part(other) === part(place)) === i);
}

/** Steps of the copy at which a member stands still. */
const WHILE_FROZEN: readonly string[] = [
  'plan.before-commit',
  'plan.after-commit',
  'copy.create.after',
  'copy.chunk.before-first-write',
  'copy.chunk.after-write:1',
  'copy.chunk.after-done:1',
  'follow.after-append:2',
];

describe.concurrent('killed with a member frozen at', () => {
  test.each(chosen(WHILE_FROZEN))(
    '%s, the member is let go, and the run goes on',
    { timeout: 600_000 },
    async (failpoint) => {
      await inTurn('freeze', () => play('freeze', three, target, failpoint, 'frozen'));
    },
  );
});

const LOSERS = FAILPOINTS.filter((name) => CASES[name][0] === 'resync');

describe.concurrent('killed at', () => {
  // The time-out includes the wait for a turn.
  test.each(chosen(FAILPOINTS.filter((name) => !LOSERS.includes(name))))(
    '%s, it goes on and ends byte-identical',
    { timeout: 600_000 },
    async (name) => {
      const [scenario, hits] = CASES[name];
      const from = OF_THREE.has(scenario) ? three : source;
      await inTurn(scenario, () => play(scenario, from, target, hits === undefined ? name : `${name}:${hits}`));
    },
  );
});

describe('killed after the log was lost, at', () => {
  test.each(chosen(LOSERS))('%s, it goes on and ends byte-identical', { timeout: 300_000 }, async (name) => {
    const [scenario, hits] = CASES[name];
    await play(scenario, forgetful, target, hits === undefined ? name : `${name}:${hits}`);
  });
});
