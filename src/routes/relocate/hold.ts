/**
 * What lies below the root stands still for as long as somebody asks for it: the
 * receiver lets the source wait, from the end of a round on. Whoever asks holds a
 * connection; however it ends, the receiver goes on.
 */
import { chmodSync, closeSync, openSync, rmSync } from 'node:fs';
import { createConnection, createServer, type Server, type Socket } from 'node:net';
import { abortedBy, GodwitError } from '../../kernel/errors.ts';

const NAME = 'hold.sock';
/** Whether the source has ended a round since the last file was written. */
export type Between = 'yes' | 'no' | 'unknown';

/** On the receiver's side. */
export class Hold implements AsyncDisposable {
  readonly #holders = new Map<Socket, 'asked' | 'granted'>();
  readonly #waiting = new Set<() => void>();
  readonly #server: Server = createServer((socket) => this.#take(socket));
  readonly #dir: number;
  #isConnected = false;
  #between: Between = 'unknown';

  private constructor(dir: number) {
    this.#dir = dir;
  }

  /** The caller has the lock of the state. */
  static async open(stateDir: string): Promise<Hold> {
    const dir = openSync(stateDir, 'r');
    const path = shortPath(dir);
    const hold = new Hold(dir);
    rmSync(path, { force: true });
    await new Promise<void>((resolve, reject) => {
      hold.#server.once('error', (error) =>
        reject(new GodwitError('GW1001', `--state ${stateDir}: ${error.message}`, { cause: error })),
      );
      hold.#server.listen(path, resolve);
    });
    chmodSync(path, 0o600);
    return hold;
  }

  /** A source is there, or gone. What it left unfinished stays so. */
  set isConnected(is: boolean) {
    this.#isConnected = is;
    this.#grant();
  }

  /** Before anything that the source asks for is done: waits while the files must stand still. */
  async pass(signal: AbortSignal): Promise<void> {
    this.#grant();
    while ([...this.#holders.values()].includes('granted')) {
      if (signal.aborted) throw abortedBy(signal);
      await new Promise<void>((resolve) => {
        const wake = () => {
          this.#waiting.delete(wake);
          signal.removeEventListener('abort', wake);
          resolve();
        };
        this.#waiting.add(wake);
        signal.addEventListener('abort', wake, { once: true });
      });
    }
    if (signal.aborted) throw abortedBy(signal);
  }

  written(): void {
    this.#between = 'no';
  }

  roundEnded(): void {
    this.#between = 'yes';
    this.#grant();
  }

  #take(socket: Socket): void {
    this.#holders.set(socket, 'asked');
    socket.on('error', () => socket.destroy());
    socket.on('close', () => {
      this.#holders.delete(socket);
      for (const wake of [...this.#waiting]) wake();
    });
    socket.resume();
    this.#grant();
  }

  /** Between two rounds, or while no source is there that could end one. */
  #grant(): void {
    if (this.#isConnected && this.#between === 'no') return;
    for (const [socket, state] of this.#holders) {
      if (state === 'granted') continue;
      this.#holders.set(socket, 'granted');
      socket.write(`${this.#between}\n`);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#holders.keys()) socket.destroy();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
    closeSync(this.#dir);
  }
}

/** Names of sockets may not be long, and states may lie deep. */
function shortPath(dir: number): string {
  return `/proc/self/fd/${dir}/${NAME}`;
}

export interface Held extends Disposable {
  /** Whether what lies there is what a whole round left; no: the source was cut off in the middle of one. */
  readonly between: Between;
}

/** Asks the receiver that works with this state. @throws GodwitError GW1004 when none does */
export async function askHold(stateDir: string, signal: AbortSignal): Promise<Held> {
  const nobody = (error: unknown) =>
    new GodwitError('GW1004', `No receiver answers with ${stateDir}`, { cause: error });
  let dir: number;
  try {
    dir = openSync(stateDir, 'r');
  } catch (error) {
    throw nobody(error);
  }
  const socket = createConnection(shortPath(dir));
  const stop = () => socket.destroy(abortedBy(signal));
  signal.addEventListener('abort', stop, { once: true });
  try {
    const between = await new Promise<string>((resolve, reject) => {
      socket.on('error', (error) => {
        if (error instanceof GodwitError) return reject(error);
        reject(nobody(error));
      });
      socket.once('close', () =>
        reject(new GodwitError('GW3001', 'The receiver ended before it let the files stand still')),
      );
      socket.once('data', (chunk) => resolve(chunk.toString().trim()));
    });
    return { between: between as Between, [Symbol.dispose]: () => socket.destroy() };
  } catch (error) {
    socket.destroy();
    throw error;
  } finally {
    signal.removeEventListener('abort', stop);
    closeSync(dir);
  }
}
