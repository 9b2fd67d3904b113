import { mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ensurePrograms } from './debian-packages.ts';
import { pickFreePort } from './ports.ts';
import { ProcessGuard } from './process-guard.ts';
import { ServerProcess } from './server-process.ts';

/** Debian's, which is not on everybody's PATH. */
const NATS_SERVER = process.env['GODWIT_NATS_SERVER'] ?? '/usr/sbin/nats-server';

export interface NatsOptions {
  /** Further lines of its configuration file, for example `authorization { … }`. */
  readonly config?: string;
  /** Put into `uri`. */
  readonly credentials?: { readonly user: string; readonly password: string };
}

/** A nats-server with JetStream on 127.0.0.1, ready when this resolves. Installs one where there is none. */
export async function startNats(options: NatsOptions = {}): Promise<Nats> {
  await ensurePrograms([NATS_SERVER], ['nats-server']);
  const dir = await mkdtemp(join(tmpdir(), 'godwit-nats-'));
  const guard = new ProcessGuard(dir);
  for (let attempt = 0; ; attempt++) {
    const server = new Nats(dir, guard, await pickFreePort(), options);
    try {
      await server.restart();
      return server;
    } catch (error) {
      const clash = error instanceof Error && /address already in use/i.test(error.message);
      if (clash && attempt < 9) continue;
      await server.stop();
      throw error;
    }
  }
}

/** Started by `startNats`; `stop` or `await using` ends it and removes its directory. */
export class Nats implements AsyncDisposable {
  readonly port: number;
  readonly uri: string;
  readonly dir: string;
  readonly #guard: ProcessGuard;
  readonly #process: ServerProcess;
  readonly #configPath: string;
  readonly #config: string;

  constructor(dir: string, guard: ProcessGuard, port: number, options: NatsOptions) {
    this.dir = dir;
    this.port = port;
    const { credentials } = options;
    const login = credentials
      ? `${encodeURIComponent(credentials.user)}:${encodeURIComponent(credentials.password)}@`
      : '';
    this.uri = `nats://${login}127.0.0.1:${port}`;
    this.#guard = guard;
    this.#configPath = join(dir, 'nats.conf');
    this.#config = [
      `host: 127.0.0.1`,
      `port: ${port}`,
      `jetstream { store_dir: ${JSON.stringify(join(dir, 'jetstream'))}, max_mem: 64M, max_file: 2G }`,
      options.config ?? '',
    ].join('\n');
    this.#process = new ServerProcess({
      name: 'nats-server',
      file: NATS_SERVER,
      args: ['--config', this.#configPath],
      logPath: join(dir, 'nats.log'),
      guard,
    });
  }

  get pid(): number | undefined {
    return this.#process.pid;
  }

  /** SIGKILL: what it had not written is lost. */
  kill(): Promise<void> {
    return this.#process.end('SIGKILL');
  }

  /** Starts it on the same port and data, after ending it gently if it runs. */
  async restart(): Promise<void> {
    await this.#process.end('SIGTERM');
    await writeFile(this.#configPath, this.#config);
    await this.#process.start((printed) => printed.includes('Server is ready'));
  }

  async stop(): Promise<void> {
    await this.#process.end('SIGKILL');
    await this.#guard.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }
}
