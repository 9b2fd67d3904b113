import { connect } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { findBlockTool } from '../../test/servers/block-tools.ts';
import { waitFor } from '../../test/servers/wait-for.ts';
import { MeasuredProcess } from '../lib/measured-process.ts';

export const CONTENDERS = ['godwit', 'qemu-nbd', 'nbdkit'] as const;
export type Contender = (typeof CONTENDERS)[number];

let started = 0;

/** A block server over one file, by a Unix socket, through the page cache; a flush is an fdatasync with each of them. */
export async function startContender(name: Contender, image: string, dir: string): Promise<RunningServer> {
  // None of them takes the socket of one before it.
  const socket = join(dir, `${name}.${++started}.socket`);
  const process = new MeasuredProcess(await argvOf(name, image, socket));
  const server = new RunningServer(process, socket);
  try {
    await waitFor(() => server.answers(), { timeoutMs: 20_000, what: `${name} to listen`, intervalMs: 50 });
    return server;
  } catch (error) {
    throw new Error(`${name} did not start: ${process.tail}`, { cause: error });
  }
}

async function argvOf(name: Contender, image: string, socket: string): Promise<string[]> {
  switch (name) {
    case 'godwit': {
      const script = fileURLToPath(new URL('server.ts', import.meta.url));
      return [process.execPath, ...profileFlags(), '--import', 'tsx', script, image, socket];
    }
    case 'qemu-nbd':
      return [
        ...[await findBlockTool('qemu-nbd'), '--persistent', '--shared=16', '--format=raw', '--cache=writeback'],
        ...[`--socket=${socket}`, image],
      ];
    case 'nbdkit':
      return [await findBlockTool('nbdkit'), '--foreground', '--unix', socket, 'file', image];
  }
}

/** `GODWIT_PROFILE=DIR` leaves CPU profiles of our server there. */
function profileFlags(): string[] {
  const dir = process.env['GODWIT_PROFILE'];
  return dir === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${dir}`];
}

export class RunningServer implements AsyncDisposable {
  readonly socket: string;
  readonly #process: MeasuredProcess;

  constructor(process: MeasuredProcess, socket: string) {
    this.#process = process;
    this.socket = socket;
  }

  answers(): Promise<boolean> {
    return new Promise((resolve) => {
      const probe = connect({ path: this.socket });
      probe.once('connect', () => resolve(true)).once('error', () => resolve(false));
      probe.once('connect', () => probe.destroy());
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#process.signal('SIGTERM');
    await this.#process.exited;
  }
}
