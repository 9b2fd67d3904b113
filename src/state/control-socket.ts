/** How commands talk to a running process: a socket in its state directory, a line of JSON each way. */
import { chmodSync, mkdirSync, rmSync } from 'node:fs';
import { createConnection, createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { CODES, type ErrorCode } from '../kernel/codes.ts';
import { type ErrorDetails, GodwitError } from '../kernel/errors.ts';

type ControlAnswer =
  | { readonly ok: unknown }
  | { readonly error: { readonly code: string; readonly message: string; readonly details?: ErrorDetails } };

const NAME = 'control.sock';
/** What the kernel takes as the name of a socket. */
const LONGEST = 107;
const PATIENCE_MS = 500;

/** Answers requests until it is closed; its being there is also the lock on the state directory. */
export class ControlSocket {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #answering: ReadonlySet<Promise<void>>;

  private constructor(server: Server, answering: ReadonlySet<Promise<void>>) {
    this.#server = server;
    this.#answering = answering;
    server.on('connection', (socket) => {
      this.#sockets.add(socket);
      socket.on('close', () => this.#sockets.delete(socket));
    });
  }

  /** @throws GodwitError GW2203 when another process has this state directory */
  static async open<Request>(state: string, answer: (request: Request) => Promise<unknown>): Promise<ControlSocket> {
    mkdirSync(state, { recursive: true, mode: 0o700 });
    const path = join(state, NAME);
    if (Buffer.byteLength(path) > LONGEST)
      throw new GodwitError('GW1001', `--state ${state} is too long for a socket in it; choose a shorter path`);
    if (await isAnswered(path)) {
      throw new GodwitError('GW2203', `Another process works with ${state}`, { details: { state } });
    }
    // Of a process that died; nobody answers there.
    rmSync(path, { force: true });
    const answering = new Set<Promise<void>>();
    const server = createServer((socket) => serve(socket, answer, answering));
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(path, resolve);
    });
    chmodSync(path, 0o600);
    return new ControlSocket(server, answering);
  }

  /** Answers that are ready go out first. */
  async close(): Promise<void> {
    await Promise.race([Promise.all(this.#answering), sleep(PATIENCE_MS, undefined, { ref: false })]);
    for (const socket of this.#sockets) socket.destroySoon();
    return new Promise((resolve) => this.#server.close(() => resolve()));
  }
}

function serve<Request>(
  socket: Socket,
  answer: (request: Request) => Promise<unknown>,
  answering: Set<Promise<void>>,
): void {
  socket.on('error', () => socket.destroy());
  const lines = createInterface({ input: socket });
  // The socket's own listener has it.
  lines.on('error', () => undefined);
  lines.on('line', (line) => {
    const answered = Promise.resolve()
      .then(() => answer(JSON.parse(line) as Request))
      .then(
        (ok): ControlAnswer => ({ ok }),
        (error: unknown): ControlAnswer => ({
          error: {
            code: error instanceof GodwitError ? error.code : 'GW9001',
            message: error instanceof Error ? error.message : String(error),
            ...(error instanceof GodwitError ? { details: error.details } : {}),
          },
        }),
      )
      .then((said) => {
        socket.write(`${JSON.stringify(said)}\n`);
      })
      .finally(() => answering.delete(answered));
    answering.add(answered);
  });
}

/** Asks the process that works with a state directory. @throws GodwitError GW1001 when none does; what it threw */
export async function askControl<T>(state: string, what: string, request: unknown, signal: AbortSignal): Promise<T> {
  const path = join(state, NAME);
  const socket = createConnection(path);
  const stop = () => socket.destroy(new GodwitError('GW8001', 'Stopped on request'));
  signal.addEventListener('abort', stop, { once: true });
  try {
    const line = await new Promise<string>((resolve, reject) => {
      socket.once('error', (error) => {
        if (error instanceof GodwitError) return reject(error);
        reject(new GodwitError('GW1001', `No ${what} runs with ${state}`, { cause: error }));
      });
      socket.once('close', () => reject(new GodwitError('GW3001', `The ${what} ended before it answered`)));
      const lines = createInterface({ input: socket });
      lines.once('line', resolve);
      // The socket's own listener has it.
      lines.on('error', () => undefined);
      socket.write(`${JSON.stringify(request)}\n`);
    });
    const answer = JSON.parse(line) as ControlAnswer;
    if ('ok' in answer) return answer.ok as T;
    const { code, message, details } = answer.error;
    throw new GodwitError(code in CODES ? (code as ErrorCode) : 'GW9001', message, details ? { details } : {});
  } finally {
    signal.removeEventListener('abort', stop);
    socket.destroy();
  }
}

function isAnswered(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createConnection(path);
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}
