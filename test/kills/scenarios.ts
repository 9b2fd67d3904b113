/** The ways to a failpoint: each starts a migration of its own, dies at the place named, and is gone on with. */
import { randomBytes } from 'node:crypto';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Db, MongoClient } from 'mongodb';
import { expect } from 'vitest';
import { RunStore } from '../../src/state/index.ts';
import { type ReplicaSet, waitFor } from '../servers/index.ts';
import { compareClusters } from '../tools/compare-clusters.ts';
import { GodwitProcess, runGodwit } from '../tools/godwit-process.ts';
import { present, rollOver } from '../traps/rollover.ts';
import { changeUnseen, layOut, Writer } from './business.ts';

export type ScenarioName = keyof typeof SCENARIOS;

const TIMEOUT_MS = 60_000;

/** One case: a database, a user of its own, a state directory, and the command line that belongs to them. */
class Case implements AsyncDisposable {
  readonly db: string;
  readonly source: ReplicaSet;
  readonly target: ReplicaSet;
  /** `NAME[:HITS]` for GODWIT_FAILPOINT. */
  readonly failpoint: string;
  readonly stateDir: string;
  /** The application's own connection to the source: it may write there and is what a fence holds. */
  readonly app: MongoClient;
  /** Whether the target is the side that only receives. */
  hasHeldExpiry = false;

  constructor(parts: Pick<Case, 'db' | 'source' | 'target' | 'failpoint' | 'stateDir' | 'app'>) {
    this.db = parts.db;
    this.source = parts.source;
    this.target = parts.target;
    this.failpoint = parts.failpoint;
    this.stateDir = parts.stateDir;
    this.app = parts.app;
  }

  args(command: string, ...more: string[]): string[] {
    const address = ['--from', this.source.uri, '--to', this.target.uri, '--state', this.stateDir, '--run', this.db];
    const flags = [
      '--include',
      this.db,
      '--chunk-mb',
      '1',
      '--throttle',
      'off',
      '--max-stall',
      '30s',
      '--fence',
      'roles',
    ];
    return ['migrate', command, ...address, ...flags, '--json', ...more];
  }

  get logPath(): string {
    return join(this.stateDir, 'godwit.log');
  }

  /** Runs a command that must die at the failpoint. */
  async dies(command: string, ...more: string[]): Promise<void> {
    const exit = await runGodwit(this.args(command, ...more), {
      logPath: this.logPath,
      env: { GODWIT_FAILPOINT: this.failpoint },
      timeoutMs: TIMEOUT_MS * 2,
    });
    this.expectKilled(exit, exit.tail);
  }

  expectKilled(exit: { code: number | null; signal: NodeJS.Signals | null }, tail: string): void {
    expect(exit.signal, `${command(this.failpoint)} was not reached; it ended with code ${exit.code}: ${tail}`).toBe(
      'SIGKILL',
    );
  }

  /** Runs a command that must succeed. */
  async succeeds(command: string, more: readonly string[] = [], phase?: string): Promise<void> {
    const { code, signal, tail, answer } = await runGodwit(this.args(command, ...more), {
      logPath: this.logPath,
      timeoutMs: TIMEOUT_MS,
    });
    expect(code, `${command} after ${this.failpoint}: code ${code}, signal ${signal}: ${tail}${this.drift()}`).toBe(0);
    const result = (answer?.['result'] ?? answer) as { phase?: string } | undefined;
    if (phase !== undefined) expect(result?.phase, `${command} after ${this.failpoint}`).toBe(phase);
  }

  /** What a proof found, for the message of a failure: the state is gone afterwards. */
  drift(): string {
    const store = RunStore.open(this.stateDir, this.db, { readOnly: true });
    try {
      return store.drift().length === 0 ? '' : `\n${JSON.stringify(store.drift())}\n${JSON.stringify(store.events())}`;
    } finally {
      store.close();
    }
  }

  async expectEqual(): Promise<void> {
    const options = { include: (db: string) => db === this.db, heldExpiry: this.hasHeldExpiry };
    const comparison = await compareClusters(this.source.uri, this.target.uri, options);
    expect(comparison.differences, this.failpoint).toEqual([]);
    expect(comparison.documents).toBeGreaterThan(1000);
  }

  /** No member of the source is locked, within so long from now. */
  async noneLocked(withinMs: number): Promise<void> {
    const locked = async (): Promise<string[]> => {
      const looks = this.source.members.map(async (member) => {
        const reply = await (await member.client()).db('admin').command({ currentOp: 1, $ownOps: true });
        return reply['fsyncLock'] === true ? [member.address] : [];
      });
      return (await Promise.all(looks)).flat();
    };
    const began = Date.now();
    let still = await locked();
    while (still.length > 0 && Date.now() - began < withinMs) {
      await sleep(50);
      still = await locked();
    }
    expect(still, `locked after ${this.failpoint}`).toEqual([]);
  }

  /** What was locked and let go for it, by the journal of the run. */
  async locks(): Promise<{ what: string; why?: string }[]> {
    const path = join(this.stateDir, this.db, 'freeze.journal');
    const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return '';
      throw error;
    });
    const lines = text.split('\n').filter((line) => line !== '');
    return lines.map((line) => JSON.parse(line) as { what: string; why?: string });
  }

  async onTarget(): Promise<Db> {
    return (await this.target.client()).db(this.db);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.app.close();
    await rm(this.stateDir, { recursive: true, force: true });
  }
}

function command(failpoint: string): string {
  return `failpoint ${failpoint}`;
}

/** Started again beside the writer, it goes on to a proof; then both are stopped. */
async function provesAgain(it: Case, writer: Writer, ...more: readonly string[]): Promise<void> {
  const godwit = new GodwitProcess(it.args('run', ...more), { logPath: it.logPath });
  try {
    await waitFor(() => godwit.phase === 'verified' || !godwit.running, {
      timeoutMs: TIMEOUT_MS,
      what: `${it.failpoint}: the proof`,
    });
    expect(godwit.running, godwit.tail).toBe(true);
  } finally {
    await writer.stop();
    godwit.signal('SIGTERM');
    await godwit.exited;
  }
}

/** Everything up to the first proof, under writes: dies somewhere there, is started again, cuts over. */
async function run(it: Case): Promise<void> {
  const writer = new Writer(it.app, it.db);
  try {
    await it.dies('run');
    await provesAgain(it, writer);
  } finally {
    await writer.stop();
  }
  await it.succeeds('cutover', [], 'switched');
}

/** The target was tampered with: `verify --repair` dies in the middle and must repair all the same. */
async function repair(it: Case): Promise<void> {
  await it.succeeds('run', ['--until', 'verified'], 'verified');
  const orders = (await it.onTarget()).collection('orders');
  await orders.updateOne({ n: 3 }, { $set: { pad: 'tampered' } });
  await orders.deleteOne({ n: 4 });
  await orders.insertOne({ n: -1 });
  await it.dies('verify', '--repair');
  await it.succeeds('verify', ['--repair']);
  await it.succeeds('cutover', [], 'switched');
}

/**
 * The log rolled over while nobody followed, and meanwhile everything changed: documents, names, indexes. The
 * resync dies in the middle, under writes, and is gone on with.
 */
async function resync(it: Case): Promise<void> {
  await it.succeeds('run', ['--until', 'verified'], 'verified');
  await changeUnseen(it.app.db(it.db));
  await rollOver(it.source, await present(it.source));
  const writer = new Writer(it.app, it.db);
  try {
    await it.dies('run', '--resync', '--until', 'verified');
    await it.succeeds('run', ['--resync', '--until', 'verified'], 'verified');
  } finally {
    await writer.stop();
  }
  await it.succeeds('cutover', [], 'switched');
}

/** Dies during the cutover. Before the switch the way leads back, and the business may write again. */
async function cutover(it: Case): Promise<void> {
  await it.succeeds('run', ['--until', 'verified'], 'verified');
  await it.dies('cutover');
  await it.succeeds('cutover', [], 'switched');
}

/** Dies at the confirmation. */
async function confirm(it: Case): Promise<void> {
  await it.succeeds('run', ['--until', 'verified'], 'verified');
  await it.succeeds('cutover');
  await (await it.onTarget()).collection('quiet').insertOne({ written: 'after the switch' });
  await it.dies('confirm');
  await it.succeeds('confirm', [], 'confirmed');
}

/** Dies on the way back; what was written at the target must be at the source in the end, which serves again. */
async function rollback(it: Case): Promise<void> {
  await it.succeeds('run', ['--until', 'verified'], 'verified');
  await it.succeeds('cutover');
  const orders = (await it.onTarget()).collection('orders');
  await orders.insertOne({ n: -7, written: 'after the switch' });
  await orders.updateOne({ n: 9 }, { $set: { written: 'after the switch' } });
  await orders.createIndex({ n: -1 }, { unique: true, name: 'made_at_target' });
  await orders.createIndex({ late: 1 }, { expireAfterSeconds: 200_000_000, name: 'late_ttl' });
  await it.dies('rollback');
  await it.succeeds('rollback', [], 'rolled-back');
  it.hasHeldExpiry = true;
  const served = it.app.db(it.db).collection('orders');
  expect(await served.countDocuments({ written: 'after the switch' })).toBe(2);
  const indexes = await served.listIndexes().toArray();
  // The source expires what it did before, and what was made to expire while the target served.
  const expiries = indexes.map(({ name, expireAfterSeconds }) => [name, expireAfterSeconds]);
  expect(expiries).toEqual(
    expect.arrayContaining([
      ['when_ttl', 100_000_000],
      ['late_ttl', 200_000_000],
    ]),
  );
  await it.expectEqual();
  await served.insertOne({ n: -8, written: 'at the source again' });
  await served.deleteOne({ n: -8 });
}

/** So long a member may stay locked after everything that watched over it was told to; the watchdog's lease is 15 s. */
const LEASE_MS = 15_000;

/** A member stands still for the copy: whatever dies, it does not stay locked, and the run goes on. */
async function freeze(it: Case): Promise<void> {
  const writer = new Writer(it.app, it.db);
  try {
    await it.dies('run', '--freeze', 'secondary');
    await it.noneLocked(LEASE_MS);
    await expectLocks(it);
    await provesAgain(it, writer, '--freeze', 'secondary');
  } finally {
    await writer.stop();
  }
  await it.noneLocked(0);
  await it.succeeds('unfreeze');
  await it.succeeds('cutover', [], 'switched');
}

/** How far the lock had come when Godwit was killed, where that is certain; elsewhere it may be either. */
const LOCK_AT_DEATH: Readonly<Record<string, 'none' | 'stood' | 'was over'>> = {
  'freeze.before-lock': 'none',
  'freeze.after-lock': 'stood',
  'freeze.after-time-point': 'stood',
  'plan.before-commit': 'stood',
  'plan.after-commit': 'stood',
  'copy.create.after': 'stood',
  'copy.chunk.before-first-write': 'stood',
  'copy.chunk.after-write:1': 'stood',
  'copy.chunk.after-done:1': 'stood',
  'freeze.before-release': 'stood',
  'freeze.after-release': 'was over',
  'freeze.caught-up': 'was over',
};

/** That the failpoint struck where it says, and that a lock which stood then was taken away by the watchdog. */
async function expectLocks(it: Case): Promise<void> {
  const unlocked = async () =>
    (await it.locks()).at(-1)?.what !== 'locking' && (await it.locks()).at(-1)?.what !== 'locked';
  await waitFor(unlocked, { timeoutMs: LEASE_MS, what: `${it.failpoint}: the journal to say that nothing is locked` });
  const lines = await it.locks();
  const at = LOCK_AT_DEATH[it.failpoint];
  if (at === 'none') return expect(lines, it.failpoint).toEqual([]);
  if (at === undefined && lines.length === 0) return;
  const last = lines.slice(-3);
  if (at === undefined) return expect(last.at(-1)?.what, it.failpoint).toBe('released');
  expect(
    last.map(({ what }) => what),
    it.failpoint,
  ).toEqual(['locking', 'locked', 'released']);
  expect(last.at(-1)?.why === 'Godwit is gone', it.failpoint).toBe(at === 'stood');
}

/** The watchdog dies: Godwit takes the lock away itself, and either goes on or says what happened. */
async function watchdog(it: Case): Promise<void> {
  const { code, tail } = await runGodwit(it.args('run', '--freeze', 'secondary', '--until', 'copied'), {
    logPath: it.logPath,
    env: { GODWIT_FAILPOINT: it.failpoint },
    timeoutMs: TIMEOUT_MS,
  });
  const frozen = it.failpoint.endsWith('unlock');
  expect(code, tail).toBe(frozen ? 0 : 7);
  if (!frozen) expect(tail).toContain('GW7010');
  await it.noneLocked(0);
  await it.succeeds('run', ['--freeze', 'secondary', '--until', 'verified'], 'verified');
  await it.noneLocked(0);
  await it.succeeds('cutover', [], 'switched');
}

const SCENARIOS = { run, repair, resync, cutover, confirm, rollback, freeze, watchdog } as const;

/** Scenarios that want a source of three members, for themselves. */
export const OF_THREE: ReadonlySet<ScenarioName> = new Set(['freeze', 'watchdog']);

/** Plays one scenario to its end and compares both sides. */
export async function play(
  scenario: ScenarioName,
  source: ReplicaSet,
  target: ReplicaSet,
  failpoint: string,
  prefix = 'kill',
): Promise<void> {
  const db = `${prefix}_${failpoint.replace(/\W/g, '_')}`;
  const password = randomBytes(8).toString('hex');
  const root = await source.client();
  // On both sides: after the switch the business logs in at the target, and a rollback holds it there.
  for (const set of [source, target]) {
    await (await set.client()).db(db).command({ createUser: 'app', pwd: password, roles: ['readWrite', 'dbAdmin'] });
  }
  await layOut(root.db(db));
  const app = new MongoClient(source.uri, { auth: { username: 'app', password }, authSource: db });
  await app.connect();
  const stateDir = await mkdtemp(join(tmpdir(), 'godwit-kills-'));
  await using it = new Case({ db, source, target, failpoint, stateDir, app });
  await SCENARIOS[scenario](it);
  await it.expectEqual();
}
