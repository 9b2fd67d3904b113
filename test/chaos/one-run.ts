/** One migration under torture and faults, from empty servers to the judge's verdict. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Member, type ReplicaSet, startReplicaSet, waitFor } from '../servers/index.ts';
import { compareClusters } from '../tools/compare-clusters.ts';
import { runGodwit } from '../tools/godwit-process.ts';
import { checkPromises, startTorture, type TortureLog, tortureNames } from '../torture/index.ts';
import { Rng } from '../torture/rng.ts';
import { FAULTS, mend, pickFault, type Victims } from './faults.ts';
import { Keeper } from './keeper.ts';

export interface RunOptions {
  readonly seed: number;
  readonly faults: number;
  /** For state, logs and servers of this run. */
  readonly dir: string;
  /** Which kinds of torture; default all. */
  readonly kinds?: (name: string) => boolean;
  readonly rate?: number;
  readonly say: (text: string) => void;
}

export interface RunVerdict {
  readonly equal: boolean;
  /** What is wrong, in words. */
  readonly problems: string[];
  readonly faults: string[];
  readonly documents: number;
  readonly bytes: number;
  readonly operations: number;
  readonly restarts: number;
  readonly seconds: number;
  /** What the workload met and did not expect: a matter of the workload, not of Godwit. */
  readonly surprises: readonly string[];
}

/** A run that is still there, for a look at its servers. */
export interface Aftermath {
  readonly verdict: RunVerdict;
  readonly sourceUri: string;
  readonly targetUri: string;
  close(): Promise<void>;
}

const DB = 'shop';
const START_TIMEOUT_MS = 120_000;
const COPY_TIMEOUT_MS = 90_000;
const CUTOVER_TIMEOUT_MS = 120_000;
/** What a cutover may answer when a fault hit it; asking again is right then. */
const ASK_AGAIN = new Set([4, 7, 130, 143]);

export async function runOnce(options: RunOptions): Promise<Aftermath> {
  const startedMs = performance.now();
  const rng = new Rng(options.seed * 7919 + 1);
  await mkdir(options.dir, { recursive: true });
  const common = { proxied: true, cacheGB: 0.25, dir: options.dir, setParameter: { ttlMonitorSleepSecs: 1 } } as const;
  const [source, target] = await Promise.all([
    startReplicaSet({ ...common, members: 3, name: 'old' }),
    startReplicaSet({ ...common, members: rng.pick([1, 3]), name: 'new' }),
  ]);
  const close = async (): Promise<void> => void (await Promise.all([source.stop(), target.stop()]));
  try {
    const verdict = await migrate(source, target, rng, options);
    const seconds = (performance.now() - startedMs) / 1000;
    return { verdict: { ...verdict, seconds }, sourceUri: source.uri, targetUri: target.uri, close };
  } catch (error) {
    await close();
    throw error;
  }
}

async function migrate(source: ReplicaSet, target: ReplicaSet, rng: Rng, options: RunOptions): Promise<RunVerdict> {
  const names = tortureNames(DB);
  const torture = await startTorture({
    uri: source.uri,
    seed: options.seed,
    db: DB,
    documents: 6000,
    rate: options.rate ?? 150,
    ...(options.kinds === undefined ? {} : { kinds: options.kinds }),
  });
  const address = ['--from', source.uri, '--to', target.uri, '--state', join(options.dir, 'state'), '--run', 'chaos'];
  const mbps = rng.pick([1, 2, 4, 8]);
  const flags = ['--include', names.main, '--include', names.scratch, '--fence', 'none', '--max-stall', '60s'];
  const logPath = join(options.dir, 'godwit.log');
  const runFlags = [
    '--json',
    '--cutover',
    'manual',
    '--chunk-mb',
    '1',
    '--max-mbps',
    String(mbps),
    '--throttle',
    'off',
  ];
  const keeper = new Keeper(['migrate', 'run', ...address, ...flags, ...runFlags], logPath);
  const faults: string[] = [];
  let quiet = false;
  const onStart = async (member: Member): Promise<void> => (quiet ? quieten(member) : undefined);
  const victims: Victims = { source, target, godwit: keeper, db: DB, onStart };
  let log: TortureLog | undefined;
  const problems: string[] = [];
  try {
    keeper.start();
    await waitFor(() => keeper.phase !== undefined || keeper.failure !== undefined, {
      timeoutMs: START_TIMEOUT_MS,
      what: 'godwit to say something',
    });
    await strikeAll(victims, keeper, rng, options, faults);
    await Promise.all([mend(source), mend(target)]);
    await waitFor(() => keeper.failure !== undefined || keeper.hasSeen('following'), {
      timeoutMs: COPY_TIMEOUT_MS,
      what: 'the copy to end',
    });

    log = await torture.stop();
    // No document may expire while the judge reads; until here the TTL monitors of both sides were at work.
    quiet = true;
    for (const member of [...source.members, ...target.members]) await quieten(member);
    if (keeper.failure === undefined)
      await cutOver(victims, keeper, rng, [...address, ...flags], logPath, faults, options);
  } catch (error) {
    problems.push(error instanceof Error ? error.message : String(error));
  }
  log ??= await torture.stop();
  if (keeper.failure !== undefined) problems.push(keeper.failure);
  await keeper.stop();
  await Promise.all([mend(source), mend(target)]);

  // A run that stopped by itself, or never got to its end, says why; that the sides then differ says nothing more.
  const comparison =
    keeper.failure === undefined && keeper.hasSeen('following')
      ? await judge(source, target, log, problems.length === 0, problems)
      : { documents: 0, bytes: 0 };
  return {
    equal: problems.length === 0,
    problems,
    faults,
    documents: comparison.documents,
    bytes: comparison.bytes,
    operations: log.operations,
    restarts: keeper.starts - 1,
    seconds: 0,
    surprises: log.unexpected,
  };
}

/** What the judge and the promises say. */
async function judge(
  source: ReplicaSet,
  target: ReplicaSet,
  log: TortureLog,
  switched: boolean,
  problems: string[],
): Promise<{ documents: number; bytes: number }> {
  const names = tortureNames(DB);
  const include = (db: string): boolean => db === names.main || db === names.scratch;
  const comparison = await compareClusters(source.uri, target.uri, { include });
  // Until the switch indexes wait to become unique and to expire: then only the documents tell something.
  problems.push(...comparison.differences.filter((line) => switched || !/: (index|option|options) /.test(line)));
  const kept = await checkPromises(target.uri, DB, log.ledger);
  if (kept.lost + kept.doubled + kept.invented > 0 || !kept.sumHolds)
    problems.push(`promises broken: ${JSON.stringify(kept)}`);
  return comparison;
}

/** All faults but the last, which is for the cutover: the first ones into the copy, the others over time. */
async function strikeAll(
  victims: Victims,
  keeper: Keeper,
  rng: Rng,
  options: RunOptions,
  faults: string[],
): Promise<void> {
  for (let i = 0; i < options.faults - 1 && keeper.failure === undefined; i += 1) {
    await sleep(rng.between(200, i === 0 ? 1500 : 3000));
    await strike(victims, keeper, rng, options, faults);
  }
  await sleep(rng.between(500, 2500));
}

async function strike(
  victims: Victims,
  keeper: Keeper,
  rng: Rng,
  options: RunOptions,
  faults: string[],
): Promise<void> {
  const fault = pickFault(rng, FAULTS);
  const named = `${fault.name}@${keeper.phase ?? '?'}`;
  options.say(`fault ${named}`);
  try {
    await fault.strike(victims, rng.fork());
    faults.push(named);
  } catch (error) {
    // A primary without a successor refuses to step down, say: no fault then.
    faults.push(`${named}(refused)`);
    options.say(`  ${error instanceof Error ? error.message : String(error)}`);
    await Promise.all([mend(victims.source), mend(victims.target)]);
  }
}

/** Asks for the cutover until it is done, with one more fault in the middle of the first attempt. */
async function cutOver(
  victims: Victims,
  keeper: Keeper,
  rng: Rng,
  args: readonly string[],
  logPath: string,
  faults: string[],
  options: RunOptions,
): Promise<void> {
  const disturbed = sleep(rng.between(0, 2500)).then(() => strike(victims, keeper, rng, options, faults));
  const deadline = performance.now() + CUTOVER_TIMEOUT_MS;
  try {
    for (;;) {
      const { code, tail } = await runGodwit(['migrate', 'cutover', ...args, '--json'], { logPath });
      if (code === 0) return;
      if (!ASK_AGAIN.has(code ?? -1) || performance.now() > deadline || keeper.failure !== undefined) {
        throw new Error(`cutover ended with code ${String(code)}: ${tail}`);
      }
      await sleep(500);
    }
  } finally {
    await disturbed;
  }
}

async function quieten(member: Member): Promise<void> {
  await (await member.client()).db('admin').command({ setParameter: 1, ttlMonitorEnabled: false });
}
