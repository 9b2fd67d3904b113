/** The monitor of a virtual machine: a line of JSON each way over a socket. */
import { createConnection, type Socket } from 'node:net';
import { createInterface } from 'node:readline';

interface Waiting {
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: Error) => void;
}

export class Monitor implements Disposable {
  readonly #socket: Socket;
  readonly #waiting: Waiting[] = [];

  private constructor(socket: Socket) {
    this.#socket = socket;
    const lines = createInterface({ input: socket });
    lines.on('error', () => undefined);
    lines.on('line', (line) => {
      const said = JSON.parse(line) as { return?: unknown; error?: { desc: string } };
      // Greetings and events are nobody's answer.
      if (!('return' in said) && said.error === undefined) return;
      const first = this.#waiting.shift();
      if (said.error === undefined) first?.resolve(said.return);
      else first?.reject(new Error(said.error.desc));
    });
    const gone = () => {
      for (const { reject } of this.#waiting.splice(0)) reject(new Error('the machine ended'));
    };
    socket.on('error', gone);
    socket.on('close', gone);
  }

  static async open(path: string): Promise<Monitor> {
    const socket = createConnection(path);
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve);
      socket.once('error', reject);
    });
    const monitor = new Monitor(socket);
    await monitor.#ask({ execute: 'qmp_capabilities' });
    return monitor;
  }

  /** What a person would type into it. */
  async type(line: string): Promise<string> {
    return String(await this.#ask({ execute: 'human-monitor-command', arguments: { 'command-line': line } }));
  }

  #ask(request: unknown): Promise<unknown> {
    if (this.#socket.destroyed) return Promise.reject(new Error('the machine ended'));
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject });
      this.#socket.write(`${JSON.stringify(request)}\n`);
    });
  }

  [Symbol.dispose](): void {
    this.#socket.destroy();
  }
}

/**
 * Whether the machine itself has taken a connection that was made to this port of
 * ours: QEMU accepts it at once, and asks the machine afterwards.
 */
export function isTaken(usernet: string, hostPort: number): boolean {
  return usernet
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .some(([state, , , port]) => state === 'TCP[ESTABLISHED]' && port === String(hostPort));
}
