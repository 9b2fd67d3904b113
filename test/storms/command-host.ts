/** The process that gives one command after the other (`commands.ts`), seen from outside. */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import {
  type CommandPlace,
  commandEnvironment,
  ended,
  guarded,
  hasEnded,
  type Running,
  type Said,
} from './children.ts';
import type { CommandAnswer, CommandOrder } from './commands.ts';
import type { Programs } from './programs.ts';

export class CommandHost {
  readonly #programs: Programs;
  #child: Promise<ChildProcess> | undefined;
  #words = '';

  constructor(programs: Programs) {
    this.#programs = programs;
  }

  /** One at a time. When it is killed, the next command finds a new process. */
  run(place: CommandPlace, words: readonly string[]): Running & { stop(): void } {
    const child = this.#child ?? this.#start();
    this.#child = child;
    const order: CommandOrder = { words, env: commandEnvironment(place) };
    const said = child.then((ready) => this.#give(ready, order));
    return {
      said,
      kill: () => void child.then((ready) => ready.kill('SIGKILL')),
      stop: () => void child.then((ready) => ready.connected && ready.send('stop', () => undefined)),
    };
  }

  /** Ends the process. */
  async close(): Promise<void> {
    const child = await this.#child;
    this.#child = undefined;
    if (child) await ended(child);
  }

  #give(child: ChildProcess, order: CommandOrder): Promise<Said> {
    this.#words = '';
    return new Promise((resolve) => {
      const gone = () => {
        this.#child = undefined;
        resolve({ code: null, out: '', err: this.#words });
      };
      if (hasEnded(child)) return gone();
      child.once('exit', gone);
      child.once('message', ({ said }: CommandAnswer) => {
        child.off('exit', gone);
        if (said) resolve(said);
      });
      child.send(order, () => undefined);
    });
  }

  async #start(): Promise<ChildProcess> {
    const child = fork(this.#programs.commands, { execArgv: [], stdio: ['ignore', 'pipe', 'pipe', 'ipc'] });
    guarded(child, this.#programs);
    // What it says by itself is why it ended, when nobody killed it.
    for (const stream of [child.stdout, child.stderr])
      stream?.on('data', (text: Buffer) => {
        this.#words += text;
      });
    await Promise.race([once(child, 'message'), once(child, 'exit')]);
    return child;
  }
}
