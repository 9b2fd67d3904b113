import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { systemClock } from '../../../kernel/clock.ts';
import { GodwitError, throwIfAborted } from '../../../kernel/errors.ts';
import type { WatchdogAnswer, WatchdogOrder, WatchdogRequest } from './watchdog-order.ts';

const READY_WITHIN_MS = 20_000;
const UNLOCK_WITHIN_MS = 20_000;
/** The lease is renewed so many times as often as needed. */
const RENEWALS = 4;

/** Runs as it lies here: as TypeScript from the sources, as JavaScript from the package. */
function watchdogArguments(): string[] {
  const typescript = import.meta.url.endsWith('.ts');
  const path = fileURLToPath(new URL(`./watchdog.${typescript ? 'ts' : 'js'}`, import.meta.url));
  return typescript ? ['--import', 'tsx', path] : [path];
}

/** A started watchdog, as Godwit talks to it. */
export class WatchdogClient {
  /** Resolves with why the watchdog is no longer there, or holds no lock any more. */
  readonly over: Promise<string>;
  readonly #child: ChildProcess;
  readonly #waiting = new Map<number, (held: boolean) => void>();
  readonly #exited: Promise<void>;
  readonly #leaseMs: number;
  #asked = 0;
  #renewing: NodeJS.Timeout | undefined;
  #onReady: () => void = () => undefined;
  #onLocked: () => void = () => undefined;
  #end: (why: string) => void = () => undefined;
  #ended = false;
  /** Whether its last word was that no lock stands. */
  released = false;

  private constructor(child: ChildProcess, leaseMs: number) {
    this.#child = child;
    this.#leaseMs = leaseMs;
    this.#exited = new Promise((resolve) => {
      child.once('exit', () => resolve());
      child.once('error', () => resolve());
    });
    this.over = new Promise((resolve) => {
      this.#end = (why) => {
        this.#ended = true;
        clearInterval(this.#renewing);
        for (const answer of this.#waiting.values()) answer(false);
        this.#waiting.clear();
        resolve(why);
      };
    });
    const lines = createInterface({ input: child.stdout as NodeJS.ReadableStream });
    lines.on('line', (text) => this.#hear(JSON.parse(text) as WatchdogAnswer));
    child.once('error', (error) => this.#end(`the watchdog could not be started: ${error.message}`));
    child.once('exit', (code, signal) => this.#end(`the watchdog ended (${signal ?? `code ${code}`})`));
    // A write to one that is gone: its end is told by `exit`.
    child.stdin?.on('error', () => undefined);
  }

  /** Starts one that is connected and has not locked anything yet. Throws GW7010. */
  static async start(order: WatchdogOrder, signal: AbortSignal): Promise<WatchdogClient> {
    const child = spawn(process.execPath, watchdogArguments(), {
      // A session of its own: what ends Godwit's group must not end it.
      detached: true,
      stdio: ['pipe', 'pipe', 'ignore'],
    });
    const client = new WatchdogClient(child, order.leaseMs);
    const ready = new Promise<void>((resolve) => {
      client.#onReady = resolve;
    });
    client.#write(order);
    try {
      await client.#within(ready, READY_WITHIN_MS, 'the watchdog did not get ready', signal);
    } catch (error) {
      // It has locked nothing, and ends with its input.
      child.stdin?.end();
      throw error;
    }
    client.#renewing = setInterval(() => void client.held(), order.leaseMs / RENEWALS);
    client.#renewing.unref();
    return client;
  }

  /** Has the member locked; resolves when it is. Throws GW7010 when that takes longer than `withinMs`. */
  async lock(withinMs: number, signal: AbortSignal): Promise<void> {
    const locked = new Promise<void>((resolve) => {
      this.#onLocked = resolve;
    });
    this.#write({ ask: 'lock' });
    await this.#within(locked, withinMs, 'the member gave no lock', signal);
  }

  /** Whether the lock stands, and has stood without a break since it was taken. */
  async held(): Promise<boolean> {
    if (this.#ended) return false;
    const id = this.#asked++;
    const held = await new Promise<boolean>((resolve) => {
      this.#waiting.set(id, resolve);
      setTimeout(() => resolve(false), this.#leaseMs).unref();
      this.#write({ ask: 'held', id });
    });
    this.#waiting.delete(id);
    if (!held) this.#end('its lock is gone');
    return held;
  }

  /**
   * Has it unlock and end. True when it has said that no lock of ours stands.
   * One that has not managed to after a while goes on trying by itself.
   */
  async release(why: string): Promise<boolean> {
    this.#write({ ask: 'release', why });
    this.#child.stdin?.end();
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, this.#leaseMs + UNLOCK_WITHIN_MS);
    });
    await Promise.race([this.#exited, late]);
    clearTimeout(timer);
    this.#child.unref();
    this.#end(why);
    return this.released;
  }

  async #within(work: Promise<void>, withinMs: number, what: string, signal: AbortSignal): Promise<void> {
    const over = new AbortController();
    const late = systemClock.sleep(withinMs, AbortSignal.any([signal, over.signal]));
    const failed = await Promise.race([
      work.then(() => undefined),
      this.over,
      late.then(() => `${what} within ${withinMs / 1000} s`),
    ]);
    over.abort();
    throwIfAborted(signal);
    if (failed !== undefined) throw new GodwitError('GW7010', `No member is frozen: ${failed}`);
  }

  #hear(answer: WatchdogAnswer): void {
    switch (answer.say) {
      case 'ready':
        this.#onReady();
        break;
      case 'locked':
        this.#onLocked();
        break;
      case 'held':
        this.#waiting.get(answer.id)?.(answer.held);
        break;
      case 'released':
        this.released = true;
        this.#end(answer.why);
        break;
      case 'failed':
        this.#end(answer.message);
    }
  }

  #write(line: WatchdogOrder | WatchdogRequest): void {
    this.#child.stdin?.write(`${JSON.stringify(line)}\n`);
  }
}
