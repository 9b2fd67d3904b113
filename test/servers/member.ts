import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdirSync, openSync, readFileSync, statSync } from 'node:fs';
import { type Document, MongoClient } from 'mongodb';
import { closeClient } from './close-client.ts';
import { hello } from './hello.ts';
import { pickFreePort } from './ports.ts';
import type { ProcessGuard } from './process-guard.ts';
import type { TcpProxy } from './tcp-proxy.ts';
import { StopWaiting, waitFor } from './wait-for.ts';

export interface MemberSpec {
  readonly index: number;
  readonly mongod: string;
  readonly dbpath: string;
  readonly logPath: string;
  /** Everything but port, dbpath. */
  readonly args: readonly string[];
  readonly ca?: string;
  readonly guard: ProcessGuard;
  /** Makes the URI of a direct connection, with what the set needs to log in. */
  readonly directUri: (port: number) => string;
}

const START_TIMEOUT_MS = 60_000;
/** A reply that a proxy swallowed never comes; the slowest command of a test is far quicker. */
export const SOCKET_TIMEOUT_MS = 60_000;

/** Starts a mongod on a free port, trying others when somebody takes the port before it can. */
export async function startMember(spec: MemberSpec): Promise<Member> {
  mkdirSync(spec.dbpath, { recursive: true });
  for (let attempt = 0; ; attempt++) {
    const member = new Member(spec, await pickFreePort());
    try {
      await member.start();
      return member;
    } catch (error) {
      await member.kill();
      const clash = error instanceof Error && /address already in use/i.test(error.message);
      if (!clash || attempt === 9) throw error;
    }
  }
}

/**
 * One mongod of a replica set.
 *
 *     start ──> running <──suspend/resume──> suspended
 *       ^          │ kill, or a crash            │ kill
 *       └──────────┴── stopped <─────────────────┘
 */
export class Member {
  readonly index: number;
  readonly host = '127.0.0.1';
  /** The port mongod listens on; going there bypasses the proxy. */
  readonly port: number;
  readonly dbpath: string;
  /** What mongod prints; it is kept over restarts. */
  readonly logPath: string;
  readonly #spec: MemberSpec;
  #proxy: TcpProxy | undefined;
  #child: ChildProcess | undefined;
  #exited: Promise<unknown> = Promise.resolve();
  #suspended = false;
  #client: Promise<MongoClient> | undefined;

  constructor(spec: MemberSpec, port: number) {
    this.#spec = spec;
    this.index = spec.index;
    this.port = port;
    this.dbpath = spec.dbpath;
    this.logPath = spec.logPath;
  }

  get proxy(): TcpProxy | undefined {
    return this.#proxy;
  }

  /** The port in the replica set's config, and so the one that drivers and the other members use. */
  get advertisedPort(): number {
    return this.#proxy?.port ?? this.port;
  }

  /** `host:port` as in the replica set's config and in `rs.status()`. */
  get address(): string {
    return `${this.host}:${this.advertisedPort}`;
  }

  /** The pid of the mongod that runs now. */
  get pid(): number | undefined {
    return this.#child?.pid;
  }

  get running(): boolean {
    return this.#child !== undefined;
  }

  get suspended(): boolean {
    return this.#suspended;
  }

  /** Called once, before the replica set is initiated. */
  putBehind(proxy: TcpProxy): void {
    this.#proxy = proxy;
  }

  async start(): Promise<void> {
    if (this.#child !== undefined) throw new Error(`member ${this.index} (pid ${this.pid}) is running already`);
    const log = openSync(this.logPath, 'a');
    const logStart = statSync(this.logPath).size;
    // A session of its own: Ctrl-C in the terminal is for the program under test, not for its servers.
    const child = spawn(this.#spec.mongod, ['--port', String(this.port), '--dbpath', this.dbpath, ...this.#spec.args], {
      stdio: ['ignore', log, log],
      detached: true,
      cwd: '/',
    });
    closeSync(log);
    const { pid } = child;
    if (pid === undefined) {
      const [error] = (await once(child, 'error')) as [Error];
      throw error;
    }
    this.#spec.guard.add(pid);
    this.#child = child;
    this.#exited = once(child, 'exit').then(() => this.#onExit(pid));
    child.unref();

    // The line in its own log, not an answer on the port: on a clash somebody else would answer.
    const printed = (): string => readFileSync(this.logPath).subarray(logStart).toString('utf8');
    await waitFor(
      () => {
        const text = printed();
        if (text.includes('Waiting for connections')) return true;
        if (!this.running) throw new StopWaiting(`mongod did not start:\n${tail(text)}`);
        return false;
      },
      { timeoutMs: START_TIMEOUT_MS, what: `mongod on port ${this.port} to start (log: ${this.logPath})` },
    );
    await waitFor(() => this.hello(), { timeoutMs: START_TIMEOUT_MS, what: `mongod on port ${this.port} to answer` });
  }

  /** `hello` of this member, past any proxy; rejects when it does not answer within a second. */
  hello(): Promise<Document> {
    return hello({ host: this.host, port: this.port, ca: this.#spec.ca });
  }

  /** A direct connection to this member alone, past any proxy, logged in as the set's user. */
  client(): Promise<MongoClient> {
    this.#client ??= new MongoClient(this.#spec.directUri(this.port), {
      serverSelectionTimeoutMS: 5000,
      socketTimeoutMS: SOCKET_TIMEOUT_MS,
      monitorCommands: false,
    })
      .connect()
      .catch((error: unknown) => {
        this.#client = undefined;
        throw error;
      });
    return this.#client;
  }

  /** Sends the signal and waits until the process is gone. */
  async kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    const client = this.#client;
    this.#client = undefined;
    // Before the process goes, while it can answer the client's goodbye.
    await closeClient(client);
    const child = this.#child;
    if (child !== undefined) {
      child.ref();
      child.kill(signal);
      if (this.#suspended) child.kill('SIGCONT'); // else it could not act on a gentle signal
      this.#suspended = false;
    }
    await this.#exited;
  }

  /** Starts it again on the same port and data, after ending it with SIGTERM if it runs. */
  async restart(): Promise<void> {
    await this.kill('SIGTERM');
    await this.start();
  }

  /** Freezes the process (SIGSTOP): connections stay open and nothing answers. */
  suspend(): void {
    this.#suspended = this.#child?.kill('SIGSTOP') ?? false;
  }

  resume(): void {
    this.#child?.kill('SIGCONT');
    this.#suspended = false;
  }

  #onExit(pid: number): void {
    this.#spec.guard.remove(pid);
    this.#child = undefined;
    this.#suspended = false;
  }
}

/** The end of a log, where mongod says why it gave up. */
function tail(text: string): string {
  return text.trimEnd().split('\n').slice(-25).join('\n');
}
