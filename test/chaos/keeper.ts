import { setTimeout as sleep } from 'node:timers/promises';
import { type GodwitExit, GodwitProcess } from '../tools/godwit-process.ts';

/** Exits after which an operator would simply start it again: a fault outlasted its patience, or it was killed. */
const START_AGAIN = new Set([4, 130, 143]);

/** Keeps `godwit migrate run` running, as a service manager would, and remembers why it ended each time. */
export class Keeper {
  readonly #args: readonly string[];
  readonly #logPath: string;
  readonly #phases = new Set<string>();
  #godwit: GodwitProcess | undefined;
  #closing = false;
  #pauseMs = 0;
  #loop: Promise<void> = Promise.resolve();
  #starts = 0;
  /** Why it must not be started again: an exit that no fault explains. */
  failure: string | undefined;

  constructor(args: readonly string[], logPath: string) {
    this.#args = args;
    this.#logPath = logPath;
  }

  start(): void {
    this.#loop = this.#keep();
  }

  get starts(): number {
    return this.#starts;
  }

  /** The phase that the living process told last. */
  get phase(): string | undefined {
    return this.#godwit?.phase;
  }

  /** Whether it has ever been in that phase. */
  hasSeen(phase: string): boolean {
    return this.#phases.has(phase);
  }

  signal(signal: NodeJS.Signals): void {
    this.#godwit?.signal(signal);
  }

  async kill(pauseMs: number): Promise<void> {
    this.#pauseMs = pauseMs;
    await this.#godwit?.kill();
  }

  /** Ends it for good: asked first, made to after a while. */
  async stop(): Promise<GodwitExit | undefined> {
    this.#closing = true;
    const godwit = this.#godwit;
    godwit?.signal('SIGCONT');
    godwit?.signal('SIGTERM');
    const timer = setTimeout(() => godwit?.signal('SIGKILL'), 10_000);
    await this.#loop;
    clearTimeout(timer);
    return godwit?.exited;
  }

  async #keep(): Promise<void> {
    while (!this.#closing) {
      this.#starts += 1;
      const godwit = new GodwitProcess(this.#args, {
        logPath: this.#logPath,
        onLine: (line) => {
          const { phase } = (line['status'] ?? {}) as { phase?: string };
          if (phase !== undefined) this.#phases.add(phase);
        },
      });
      this.#godwit = godwit;
      const { code, signal } = await godwit.exited;
      if (this.#closing) return;
      // With no process left to talk to, `cutover` does the work itself and holds the run meanwhile.
      const held = (godwit.answer?.['error'] as { code?: string } | undefined)?.code === 'GW7001';
      if (signal !== 'SIGKILL' && !held && !START_AGAIN.has(code ?? -1)) {
        this.failure = `godwit ended by itself with code ${String(code)}, signal ${String(signal)}: ${godwit.tail}`;
        return;
      }
      await sleep(signal === 'SIGKILL' ? this.#pauseMs : 500);
    }
  }
}
