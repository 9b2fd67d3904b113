/** Random operations on files, carried out by another program while rounds go on or between them. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { CapturedCopy } from './captured-copy.ts';
import { differences } from './move.ts';

const PROGRAM = fileURLToPath(new URL('./operations.py', import.meta.url));
const NAMES = [
  ...['write', 'part', 'sparse', 'punch', 'exchange', 'truncate', 'mkdir', 'link', 'symlink', 'fifo', 'device'],
  ...['rename', 'remove', 'mode', 'owner', 'times', 'xattr', 'unxattr', 'store', 'direct', 'copied', 'allocated'],
];

type Operation = readonly [name: string, a: number, b: number, n: number];

/** Which path: few of them often, so that operations meet. */
const path = fc.oneof({ weight: 3, arbitrary: fc.nat(23) }, { weight: 1, arbitrary: fc.nat(1535) });

const operation: fc.Arbitrary<Operation> = fc.tuple(
  fc.oneof(
    { weight: 4, arbitrary: fc.constant('write') },
    { weight: 2, arbitrary: fc.constantFrom('store', 'rename') },
    { weight: 12, arbitrary: fc.constantFrom(...NAMES) },
  ),
  path,
  path,
  fc.nat(2_000_000_000),
);

export function operations(minLength: number, maxLength: number): fc.Arbitrary<Operation[]> {
  return fc.array(operation, { minLength, maxLength, size: 'max' });
}

/** One process that carries out operations below `root`, and keeps what it mapped. */
export class Operator implements AsyncDisposable {
  readonly #child;
  readonly #lines;

  constructor(root: string) {
    this.#child = spawn('python3', [PROGRAM, root], { stdio: ['pipe', 'pipe', 'inherit'] });
    this.#lines = createInterface({ input: this.#child.stdout })[Symbol.asyncIterator]();
  }

  /** How many of them could be done. */
  carryOut(list: readonly Operation[]): Promise<number> {
    return this.#send(list);
  }

  async #send(list: readonly (readonly unknown[])[]): Promise<number> {
    this.#child.stdin.write(`${JSON.stringify(list)}\n`);
    const { value } = await this.#lines.next();
    if (value === undefined) throw new Error('The operator died');
    return Number(value);
  }

  /** Maps a file by its name, so that `store` goes into it. */
  map(name: string): Promise<number> {
    return this.#send([['map', name, 0, 0]]);
  }

  store(at: number, value: number): Promise<number> {
    return this.#send([['set', '', at, value]]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode !== null) return;
    const closed = once(this.#child, 'close');
    this.#child.stdin.end();
    await closed;
  }
}

interface Tried {
  readonly done: number;
  /** How often events were lost. */
  readonly lost: number;
  readonly rounds: number;
  /** Rounds that went by what they were told. */
  readonly told: number;
}

const MOST_EVENTS = '/proc/sys/fs/fanotify/max_queued_events';
const SMALL_QUEUE = 40;

/** A queue of the kernel that holds almost nothing, for who is made meanwhile. */
async function withSmallQueue<T>(work: () => Promise<T>): Promise<T> {
  const before = readFileSync(MOST_EVENTS, 'utf8');
  // Another process that plays at the same time may have set it: what it is otherwise is the kernel's default.
  const most = Number(before) === SMALL_QUEUE ? '16384' : before;
  writeFileSync(MOST_EVENTS, String(SMALL_QUEUE));
  try {
    return await work();
  } finally {
    writeFileSync(MOST_EVENTS, most);
  }
}

/**
 * Random operations before and during rounds that are told of changes, on the file systems of these directories. When
 * the operations have ended and a round found nothing more to do, both trees must be equal in every field: there is no
 * proof in this that could mend anything. Every third seed makes the kernel lose events.
 */
export async function tryCaptured(seed: number, source: string, target: string): Promise<Tried> {
  const [from, to] = [join(source, `run-${seed}`), join(target, `run-${seed}`)];
  mkdirSync(from);
  const batches = fc.sample(fc.tuple(operations(5, 80), operations(1, 60), operations(1, 40)), { seed, numRuns: 1 });
  try {
    return await tryBatches(seed, from, to, batches[0] as readonly (readonly Operation[])[]);
  } catch (error) {
    throw new Error(`Seed ${seed}: ${(error as Error).message}\n${JSON.stringify(batches[0])}`, { cause: error });
  } finally {
    for (const dir of [from, to]) rmSync(dir, { recursive: true, force: true });
  }
}

async function tryBatches(
  seed: number,
  from: string,
  to: string,
  [first, ...later]: readonly (readonly Operation[])[],
): Promise<Tried> {
  const loses = seed % 3 === 0;
  let [done, rounds, told] = [0, 0, 0];
  await using operator = new Operator(from);
  done += await operator.carryOut(first ?? []);
  const begin = () => CapturedCopy.begin(from, to, loses ? { queue: 'limited', ringKiB: 8, drainEveryMs: 60_000 } : {});
  await using copy = await (loses ? withSmallQueue(begin) : begin());
  for (const [at, batch] of [[], ...later].entries()) {
    const carried = operator.carryOut(loses && at > 0 ? [...batch, ['burst', 0, 0, seed + at]] : batch);
    // One round while they go on, the rest when they have ended.
    await copy.round();
    done += await carried;
    const after = await copy.settle();
    rounds += after.length;
    told += after.filter(({ everything }) => everything === undefined).length;
    const found = await differences(from, to);
    if (found.length > 0) throw new Error(`after batch ${at}: ${found.slice(0, 5).join('; ')}`);
  }
  return { done, lost: copy.capture.counts.lost, rounds, told };
}
