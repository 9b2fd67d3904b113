/** The processes of an application under load, and the relay, from outside. */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { Asked, Counts, Order, Told } from './application.ts';
import type { Belief } from './writer.ts';

export interface LoadOptions {
  readonly db: string;
  readonly customers: number;
  readonly processes: number;
  readonly connections: number;
  /** Writes a second of all. */
  readonly pace: number;
  readonly batch: number;
  readonly seed: number;
}

export interface LoadEnd {
  readonly counts: Counts;
  readonly beliefs: ReadonlyMap<number, Belief | undefined>;
  /** Worst of the processes. */
  readonly writeMs: { readonly p50Ms: number; readonly p99Ms: number };
  readonly transactionMs: readonly number[];
  readonly failures: readonly string[];
}

type Stopped = Extract<Told, { readonly kind: 'stopped' }>;

export class Load {
  readonly #children: readonly ChildProcess[];
  #asked = 0;

  private constructor(children: readonly ChildProcess[]) {
    this.#children = children;
  }

  static async start(options: LoadOptions): Promise<Load> {
    const { processes, pace, ...rest } = options;
    const children = Array.from({ length: processes }, (_, index) => {
      const order: Order = { ...rest, index, processes, rate: pace / processes };
      return fork(fileURLToPath(new URL('application.ts', import.meta.url)), {
        execArgv: [...profiling(), '--import', 'tsx'],
        env: { ...process.env, STRESS_ORDER: JSON.stringify(order) },
        stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
        serialization: 'advanced',
      });
    });
    const load = new Load(children);
    try {
      await Promise.all(children.map((child) => answer(child, (told) => told.kind === 'ready')));
    } catch (error) {
      load.kill();
      throw error;
    }
    return load;
  }

  get pids(): readonly number[] {
    return this.#children.flatMap(({ pid }) => pid ?? []);
  }

  /** Acknowledged so far. */
  async counts(): Promise<Counts> {
    return sumOf((await this.#ask('count')) as readonly Counts[]);
  }

  async stop(): Promise<LoadEnd> {
    const ended = Promise.all(this.#children.map((child) => once(child, 'exit')));
    const told = (await this.#ask('stop')) as readonly Stopped[];
    for (const child of this.#children) child.disconnect();
    await ended;
    return {
      counts: sumOf(told.map(({ counts }) => counts)),
      beliefs: new Map(told.flatMap(({ beliefs }) => beliefs)),
      writeMs: {
        p50Ms: Math.max(...told.map(({ writeMs }) => writeMs.p50Ms)),
        p99Ms: Math.max(...told.map(({ writeMs }) => writeMs.p99Ms)),
      },
      transactionMs: told.flatMap(({ transactionMs }) => transactionMs),
      failures: told.flatMap(({ failures }) => failures),
    };
  }

  kill(): void {
    for (const child of this.#children) child.kill('SIGKILL');
  }

  #ask(kind: Asked['kind']): Promise<readonly Told[]> {
    this.#asked += 1;
    const asked: Asked = { n: this.#asked, kind };
    return Promise.all(
      this.#children.map((child) => {
        const answered = answer(child, (told) => 'n' in told && told.n === asked.n);
        child.send(asked);
        return answered;
      }),
    );
  }
}

/** `STRESS_PROFILE=DIR`: each process leaves a CPU profile there. */
export function profiling(): readonly string[] {
  const folder = process.env['STRESS_PROFILE'];
  return folder === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${folder}`];
}

/** Rejects when the process ends without an answer. */
function answer(child: ChildProcess, isIt: (told: Told) => boolean): Promise<Told> {
  return new Promise((resolve, reject) => {
    const done = () => {
      child.off('message', look);
      child.off('exit', fail);
    };
    const look = (told: Told) => {
      if (!isIt(told)) return;
      done();
      resolve(told);
    };
    const fail = (code: number | null) => {
      done();
      reject(new Error(`A process of the application ended with ${code}`));
    };
    child.on('message', look);
    child.on('exit', fail);
    if (child.exitCode !== null || child.signalCode !== null) fail(child.exitCode);
  });
}

function sumOf(counts: readonly Counts[]): Counts {
  return counts.reduce(
    (sum, { writes, transactions }) => ({
      writes: sum.writes + writes,
      transactions: sum.transactions + transactions,
    }),
    { writes: 0, transactions: 0 },
  );
}
