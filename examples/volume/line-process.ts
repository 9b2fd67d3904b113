/** The far line as a process of its own, so that it can be in another network namespace. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { Troubles } from './far-link.ts';

const MAIN = fileURLToPath(new URL('line-main.ts', import.meta.url));

/** Connections to an address of the line go on to another. */
export interface Way {
  readonly listenHost: string;
  readonly host: string;
  readonly port: number;
}

/** What it is told, and what it answers. */
export type LineOrder = { readonly open: readonly Way[] } | 'worsen';
export type LineNews = { readonly ports: readonly number[] } | { readonly troubles: Troubles };

export class LineProcess {
  readonly #child: ChildProcess;
  readonly #exited: Promise<unknown>;
  #ports: (ports: readonly number[]) => void = () => undefined;
  troubles: Readonly<Troubles> = { still: 0, torn: 0 };

  /** @param within what runs a command in the place of the line */
  constructor(within: readonly string[], roundTripMs: number) {
    const words = [...within, process.execPath, '--import', import.meta.resolve('tsx'), MAIN, String(roundTripMs)];
    const [command, ...args] = words as [string];
    this.#child = spawn(command, args, { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
    this.#exited = once(this.#child, 'exit');
    this.#child.on('error', () => undefined);
    this.#child.on('message', (news: LineNews) => {
      if ('ports' in news) this.#ports(news.ports);
      else this.troubles = news.troubles;
    });
  }

  /** Gives a port for each way. */
  open(ways: readonly Way[]): Promise<readonly number[]> {
    return new Promise((resolve, reject) => {
      this.#ports = resolve;
      this.#exited.then(
        () => reject(new Error(`the far line ended with ${this.#child.exitCode}`)),
        (error: unknown) => reject(error as Error),
      );
      this.#tell({ open: ways });
    });
  }

  worsen(): void {
    this.#tell('worsen');
  }

  async close(): Promise<void> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) this.#child.kill('SIGKILL');
    await this.#exited.catch(() => undefined);
  }

  #tell(order: LineOrder): void {
    if (this.#child.connected) this.#child.send(order);
  }
}
