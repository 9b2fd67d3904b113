/** Live moves in tests: both sides as processes of the built command, and services that leave traces. */
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { findCgroups } from '../../examples/server/machine.ts';
import type { MoveStatus } from '../../src/routes/relocate/api.ts';
import { runCommand } from '../servers/run-command.ts';
import { waitFor } from '../servers/wait-for.ts';
import { CLI, godwit } from './one-million.ts';

export interface Answer<T> {
  readonly code: number;
  readonly answer: T;
}

/** `godwit relocate …` with its answer in JSON. */
export async function ask<T>(words: readonly string[]): Promise<Answer<T>> {
  const { code, stdout } = await runCommand(process.execPath, [CLI, 'relocate', ...words, '--json']);
  return { code, answer: JSON.parse(stdout.trim().split('\n').at(-1) ?? '{}') as T };
}

type Process = ReturnType<typeof godwit>;

/** Ends a process and waits until it is gone. */
async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, 'close');
  child.kill('SIGKILL');
  await gone;
}

/** Agent and receiver of one move over a Unix socket. */
export class LiveMove implements AsyncDisposable {
  readonly state: string;
  readonly #agentWords: readonly string[];
  readonly #receiveWords: readonly string[];
  #agent: Process | undefined;
  #receive: Process | undefined;

  constructor(options: {
    readonly dir: string;
    readonly source: string;
    readonly target: string;
    readonly agent: readonly string[];
    readonly receive: readonly string[];
  }) {
    const address = `unix:${join(options.dir, 'socket')}`;
    this.state = join(options.dir, 'agent');
    this.#agentWords = [
      ...['agent', '--to', address, '--map', `${options.source}=/`, '--state', this.state, '--json'],
      ...options.agent,
    ];
    this.#receiveWords = [
      ...['receive', '--listen', address, '--root', options.target, '--state', join(options.dir, 'receive')],
      ...options.receive,
    ];
  }

  async start(failpoint = ''): Promise<void> {
    await this.startReceive();
    this.startAgent(failpoint);
  }

  async startReceive(): Promise<void> {
    this.#receive = godwit(this.#receiveWords);
    const { output } = this.#receive;
    await waitFor(() => output().includes('listening'), { timeoutMs: 60_000, what: 'the receiver' });
  }

  startAgent(failpoint = ''): void {
    this.#agent = godwit(this.#agentWords, failpoint === '' ? {} : { GODWIT_FAILPOINT: failpoint });
  }

  get output(): string {
    return `${this.#agent?.output()}\n${this.#receive?.output()}`;
  }

  get agentEnded(): boolean {
    const child = this.#agent?.child;
    return child === undefined || child.exitCode !== null || child.signalCode !== null;
  }

  killAgent(): Promise<void> {
    return this.#agent ? end(this.#agent.child) : Promise.resolve();
  }

  killReceive(): Promise<void> {
    return this.#receive ? end(this.#receive.child) : Promise.resolve();
  }

  async status(): Promise<MoveStatus> {
    return (await ask<MoveStatus>(['status', '--state', this.state])).answer;
  }

  command<T>(...words: readonly string[]): Promise<Answer<T>> {
    return ask<T>([...words, '--state', this.state]);
  }

  /** Until the agent says itself that it is in one of these phases, and, when it follows, has looked at both sides. */
  async until(...phases: readonly MoveStatus['phase'][]): Promise<MoveStatus> {
    return waitFor(
      async () => {
        if (this.agentEnded && !phases.includes('committed')) throw new Error(`the agent ended: ${this.output}`);
        const status = await this.status();
        const isReady = status.phase !== 'following' || status.lookedAt !== undefined;
        return (status.isRunning || status.phase === 'committed') && phases.includes(status.phase) && isReady && status;
      },
      { timeoutMs: 60_000, what: `${phases.join(' or ')}: ${this.output}`, intervalMs: 100 },
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.killAgent();
    await this.killReceive();
  }
}

/** A control group that is gone after the test, with everything in it. */
export class Group implements AsyncDisposable {
  readonly dir: string;

  constructor(name: string) {
    this.dir = join(findCgroups(), `godwit-test-${process.pid}-${name}`);
    mkdirSync(this.dir);
  }

  /** Moves a process and its children here; one that has ended meanwhile is not missed. */
  add(pid: number): void {
    try {
      // What it starts from now on is here from the beginning.
      writeFileSync(join(this.dir, 'cgroup.procs'), String(pid));
      const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean);
      for (const child of children) this.add(Number(child));
    } catch (error) {
      if (!['ENOENT', 'ESRCH'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
    }
  }

  get processes(): number[] {
    return readFileSync(join(this.dir, 'cgroup.procs'), 'utf8').split('\n').filter(Boolean).map(Number);
  }

  get isFrozen(): boolean {
    return readFileSync(join(this.dir, 'cgroup.events'), 'utf8').includes('frozen 1');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!existsSync(this.dir)) return;
    writeFileSync(join(this.dir, 'cgroup.kill'), '1');
    const remove = () => {
      rmdirSync(this.dir);
      return true;
    };
    await waitFor(remove, { timeoutMs: 10_000, what: `${this.dir} to be empty` });
  }
}
