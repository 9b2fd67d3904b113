/** The service's processes, and their replacement one by one without a request failing. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { resolve } from 'node:path';
import type { Load } from './load/load.ts';

const START_MS = 30_000;
const WARM_UP = 40;
/** The first ones tell; the rest is more of the same. */
const MOST_COMPLAINTS = 2;

export type Version = 'before' | 'after';

/** One process of the service. */
class Service {
  readonly port: number;
  readonly #child: ChildProcess;
  readonly #complaints: readonly string[];

  private constructor(child: ChildProcess, port: number, complaints: readonly string[]) {
    this.#child = child;
    this.port = port;
    this.#complaints = complaints;
  }

  static async start(version: Version, env: Readonly<Record<string, string>>): Promise<Service> {
    const main = resolve(import.meta.dirname, version, 'main.ts');
    const child = spawn(process.execPath, ['--import', 'tsx', main], {
      env: { ...process.env, ...env, PORT: '0' },
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    });
    const complaints: string[] = [];
    child.stderr?.on('data', (text: Buffer) => {
      if (complaints.length < MOST_COMPLAINTS) complaints.push(text.toString().slice(0, 1000));
    });
    const signal = AbortSignal.timeout(START_MS);
    try {
      const answer = await Promise.race([
        once(child, 'message', { signal }) as Promise<[{ port: number }]>,
        once(child, 'exit', { signal }).then(() => undefined),
      ]);
      if (!answer) throw new Error(`the service (${version}) ended at once: ${complaints.join('').trim()}`);
      const service = new Service(child, answer[0].port, complaints);
      await service.#warmUp();
      return service;
    } catch (error) {
      child.kill('SIGKILL');
      throw error;
    }
  }

  /** Has it end what it began, and end. */
  async stop(): Promise<void> {
    if (this.#hasEnded()) throw new Error(`a service ended by itself: ${this.complaints}`);
    const ended = once(this.#child, 'exit');
    this.#child.kill('SIGTERM');
    await ended;
  }

  async kill(): Promise<void> {
    if (this.#hasEnded()) return;
    const ended = once(this.#child, 'exit');
    this.#child.kill('SIGKILL');
    await ended;
  }

  get complaints(): string {
    return this.#complaints.join('').trim();
  }

  /** A process is slow at first; no user is to wait for that. */
  async #warmUp(): Promise<void> {
    for (let n = 0; n < WARM_UP; n += 1) await (await fetch(`http://127.0.0.1:${this.port}/customers/${n}`)).text();
  }

  #hasEnded(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null;
  }
}

/** All processes of the service. */
export class Fleet {
  readonly #databaseUrl: string;
  #services: Service[] = [];
  #complaints = '';

  constructor(databaseUrl: string) {
    this.#databaseUrl = databaseUrl;
  }

  get ports(): readonly number[] {
    return this.#services.map(({ port }) => port);
  }

  /** What the processes wrote to standard error: of an error behind a status 500, for instance. */
  get complaints(): string {
    return (this.#complaints + this.#services.map(({ complaints }) => complaints).join('\n')).trim();
  }

  async start(version: Version, processes: number): Promise<void> {
    for (let n = 0; n < processes; n += 1) this.#services.push(await this.#one(version, {}));
  }

  /** A rolling restart: a new process serves before an old one is asked to end. */
  async replaceAll(version: Version, load: Load, env: Readonly<Record<string, string>> = {}): Promise<void> {
    for (const old of [...this.#services]) {
      const fresh = await this.#one(version, env);
      this.#services.push(fresh);
      await load.replace(old.port, fresh.port);
      await old.stop();
      this.#complaints += old.complaints;
      this.#services = this.#services.filter((service) => service !== old);
    }
  }

  async stop(): Promise<void> {
    await Promise.all(this.#services.map((service) => service.stop()));
  }

  async kill(): Promise<void> {
    await Promise.all(this.#services.map((service) => service.kill()));
  }

  #one(version: Version, env: Readonly<Record<string, string>>): Promise<Service> {
    return Service.start(version, { ...env, DATABASE_URL: this.#databaseUrl });
  }
}
