import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import {
  accessSync,
  chmodSync,
  chownSync,
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import pg from 'pg';
import { installPackages } from './debian-packages.ts';
import { pickFreePort } from './ports.ts';
import { ProcessGuard } from './process-guard.ts';
import { runCommand } from './run-command.ts';
import { StopWaiting, waitFor } from './wait-for.ts';

export interface PostgresOptions {
  /** Lines of postgresql.conf. */
  readonly settings?: Readonly<Record<string, string>>;
  /** Off makes it faster and unsafe against a crash of the machine; a SIGKILL it survives either way. Default: on. */
  readonly fsync?: boolean;
  /** Where the data lies, in place of a directory of its own that goes with the server; what is there already is used. */
  readonly data?: { readonly dir: string; readonly password: string };
}

const START_TIMEOUT_MS = 60_000;

/** A PostgreSQL of its own with one empty database, gone when the caller is. Installs PostgreSQL where there is none. */
export async function startPostgres(options: PostgresOptions = {}): Promise<PostgresServer> {
  const bin = await findBinaries();
  const dir = mkdtempSync(join(tmpdir(), 'godwit-pg-'));
  const owner = await serverUser();
  chmodSync(dir, 0o755);
  const guard = new ProcessGuard(dir);
  try {
    const dataDir = options.data?.dir ?? join(dir, 'data');
    const passwordFile = join(dir, 'password');
    const password = options.data?.password ?? randomBytes(12).toString('hex');
    writeFileSync(passwordFile, password, { mode: 0o600 });
    if (options.data) mkdirSync(dataDir, { recursive: true });
    if (owner)
      for (const path of [dir, passwordFile, ...(options.data ? [dataDir] : [])]) chownSync(path, owner.uid, owner.gid);
    if (existsSync(join(dataDir, 'PG_VERSION'))) {
      const server = new PostgresServer({ bin, dir, dataDir, owner, guard, password, options });
      await server.start();
      server.useDatabase('test');
      return server;
    }
    const initdb = await runCommand(
      ...asUser(owner, join(bin, 'initdb'), [
        ...['-D', dataDir, '-U', 'postgres', '-A', 'scram-sha-256', `--pwfile=${passwordFile}`],
        ...['--encoding=UTF8', '--locale=C.UTF-8', '--no-sync'],
      ]),
      { cwd: '/' },
    );
    if (initdb.code !== 0) throw new Error(`initdb failed: ${initdb.stderr || initdb.stdout}`);
    // Once for all of it: on a slow disk a sync for each file takes a minute.
    if (options.data) await runCommand('sync', ['-f', dataDir]);
    const server = new PostgresServer({ bin, dir, dataDir, owner, guard, password, options });
    await server.start();
    await server.open();
    return server;
  } catch (error) {
    await guard.close();
    throw error;
  }
}

interface User {
  readonly uid: number;
  readonly gid: number;
}

interface Spec {
  readonly bin: string;
  readonly dir: string;
  readonly dataDir: string;
  readonly owner: User | undefined;
  readonly guard: ProcessGuard;
  readonly password: string;
  readonly options: PostgresOptions;
}

/** One PostgreSQL server. */
export class PostgresServer {
  readonly #spec: Spec;
  #port = 0;
  #child: ChildProcess | undefined;
  #exited: Promise<unknown> = Promise.resolve();
  #database = 'postgres';
  #databases = 0;

  constructor(spec: Spec) {
    this.#spec = spec;
  }

  get port(): number {
    return this.#port;
  }

  get dataDir(): string {
    return this.#spec.dataDir;
  }

  /** Of the first database, as superuser. */
  get uri(): string {
    return this.#uriOf(this.#database);
  }

  /** The same through its Unix socket, which costs a local client much less than TCP. */
  get socketUri(): string {
    const { password, dir } = this.#spec;
    return `postgres://postgres:${password}@${encodeURIComponent(dir)}:${this.#port}/${this.#database}`;
  }

  /** What the server prints; kept over restarts. */
  get log(): string {
    return readFileSync(join(this.#spec.dir, 'log'), 'utf8');
  }

  /** Gives the URI of a new, empty database. */
  async createDatabase(name = `db${++this.#databases}`): Promise<string> {
    const client = new pg.Client(this.#uriOf('postgres'));
    await client.connect();
    try {
      await client.query(`create database ${client.escapeIdentifier(name)}`);
    } finally {
      await client.end();
    }
    return this.#uriOf(name);
  }

  /** Used once by `startPostgres`: a database that was made before. */
  useDatabase(name: string): void {
    this.#database = name;
  }

  /** Used once by `startPostgres`. */
  async open(): Promise<void> {
    await this.createDatabase('test');
    this.#database = 'test';
  }

  /** Starts it, on the port that it had before if it had one. */
  async start(): Promise<void> {
    for (let attempt = 0; ; attempt += 1) {
      const fresh = this.#port === 0;
      if (fresh) this.#port = await pickFreePort();
      try {
        return await this.#startOnce();
      } catch (error) {
        await this.kill();
        if (attempt === 20) throw error;
        // The port was taken in the meantime, or backends of a killed server are still on their way out.
        if (fresh) this.#port = 0;
      }
    }
  }

  /** Ends it as an administrator does: transactions are rolled back, the data is safe. */
  async stop(): Promise<void> {
    this.#child?.kill('SIGINT');
    await this.#exited;
    await this.#spec.guard.close();
  }

  /** Kills the server and all of its processes at once. */
  async kill(): Promise<void> {
    const pid = this.#child?.pid;
    if (pid !== undefined && this.#child?.exitCode === null && this.#child.signalCode === null) {
      const backends = childrenOf(pid);
      this.#child.kill('SIGKILL');
      for (const backend of backends) {
        try {
          process.kill(backend, 'SIGKILL');
        } catch {
          // It ended by itself.
        }
      }
    }
    await this.#exited;
    this.#child = undefined;
  }

  /** Kills it and starts it again on the same port. */
  async restart(): Promise<void> {
    await this.kill();
    await this.start();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  #uriOf(database: string): string {
    return `postgres://postgres:${this.#spec.password}@127.0.0.1:${this.#port}/${database}`;
  }

  async #startOnce(): Promise<void> {
    const { bin, dir, dataDir, owner, guard, options } = this.#spec;
    const settings: Record<string, string> = {
      listen_addresses: '127.0.0.1',
      port: String(this.#port),
      unix_socket_directories: dir,
      max_connections: '200',
      max_prepared_transactions: '10',
      fsync: options.fsync === false ? 'off' : 'on',
      ...options.settings,
    };
    const flags = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
    const log = openSync(join(dir, 'log'), 'a');
    const child = spawn(...asUser(owner, join(bin, 'postgres'), ['-D', dataDir, ...flags]), {
      stdio: ['ignore', log, log],
      cwd: '/',
    });
    closeSync(log);
    this.#child = child;
    this.#exited = once(child, 'exit').then(() => child.pid && guard.remove(child.pid));
    await once(child, 'spawn');
    guard.add(child.pid as number);
    await waitFor(
      async () => {
        if (child.exitCode !== null || child.signalCode !== null)
          throw new StopWaiting(`PostgreSQL ended while starting: ${this.log.slice(-2_000)}`);
        const client = new pg.Client({ connectionString: this.#uriOf('postgres'), connectionTimeoutMillis: 2_000 });
        await client.connect();
        await client.end();
        return true;
      },
      { timeoutMs: START_TIMEOUT_MS, what: 'PostgreSQL to accept connections' },
    );
  }
}

function childrenOf(pid: number): number[] {
  try {
    return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean).map(Number);
  } catch {
    return [];
  }
}

/** PostgreSQL refuses to run as root: then it runs as `postgres`. */
export async function serverUser(): Promise<User | undefined> {
  if (process.getuid?.() !== 0) return undefined;
  const { code, stdout } = await runCommand('id', ['-u', 'postgres']);
  if (code !== 0) throw new Error('PostgreSQL cannot run as root, and there is no user "postgres" to run it as');
  const { stdout: gid } = await runCommand('id', ['-g', 'postgres']);
  return { uid: Number(stdout), gid: Number(gid) };
}

function asUser(user: User | undefined, command: string, args: readonly string[]): [string, string[]] {
  if (!user) return [command, [...args]];
  return ['setpriv', [`--reuid=${user.uid}`, `--regid=${user.gid}`, '--init-groups', command, ...args]];
}

/** The directory of `postgres` and `initdb`: `GODWIT_PG_BIN`, Debian's newest, PATH, or freshly installed. */
export async function findBinaries(): Promise<string> {
  const found = lookForBinaries();
  if (found) return found;
  const { stderr } = await installPackages(['postgresql']);
  const installed = lookForBinaries();
  if (installed) return installed;
  throw new Error(
    `No PostgreSQL was found and none could be installed; set GODWIT_PG_BIN to a directory with initdb and postgres. ${stderr.slice(-500)}`,
  );
}

function lookForBinaries(): string | undefined {
  const debian = '/usr/lib/postgresql';
  let versions: string[] = [];
  try {
    versions = readdirSync(debian).sort((a, b) => Number(b) - Number(a));
  } catch {
    // Not Debian's, or not installed.
  }
  const places = [
    ...(process.env['GODWIT_PG_BIN'] ? [process.env['GODWIT_PG_BIN']] : []),
    ...versions.map((version) => join(debian, version, 'bin')),
    ...(process.env['PATH'] ?? '').split(delimiter),
  ];
  return places.find((place) => {
    try {
      accessSync(join(place, 'initdb'));
      accessSync(join(place, 'postgres'));
      return true;
    } catch {
      return false;
    }
  });
}
