/**
 * The process that holds the lock of a frozen member, so that nothing which
 * happens to Godwit can leave it locked: it unlocks when it is told to, when
 * Godwit is gone (its pipe ends with it), and when Godwit has been silent for
 * as long as the lease. It is in a session of its own; a signal asks it to
 * unlock and end. The protocol is in watchdog-order.ts.
 */
import { createInterface } from 'node:readline';
import { systemClock } from '../../../kernel/clock.ts';
import { GodwitError } from '../../../kernel/errors.ts';
import { armFromEnvironment, failpoint } from '../../../kernel/failpoint.ts';
import { writeJournal } from './journal.ts';
import { MemberLock } from './member-lock.ts';
import { receiveTarget, type WatchdogAnswer, type WatchdogOrder, type WatchdogRequest } from './watchdog-order.ts';

/** A member that cannot be reached for so long has been left to a person (`migrate unfreeze`). */
const GIVE_UP_AFTER_MS = 24 * 60 * 60 * 1000;
const LEASE_LOOKS = 10;
const LOOK_AGAIN_MS = 500;

class Watchdog {
  readonly #order: WatchdogOrder;
  readonly #lock: MemberLock;
  #heardAt = Date.now();
  /** Set once the server is asked to lock. */
  #locking: Promise<void> | undefined;
  #locked = false;
  /** It was seen to be gone: somebody unlocked it, or the server was started again. */
  #gone = false;
  #ending: Promise<void> | undefined;

  constructor(order: WatchdogOrder, lock: MemberLock) {
    this.#order = order;
    this.#lock = lock;
    const timer = setInterval(() => {
      if (Date.now() - this.#heardAt > order.leaseMs) void this.end('the lease ran out');
    }, order.leaseMs / LEASE_LOOKS);
    timer.unref();
  }

  async hear(request: WatchdogRequest): Promise<void> {
    this.#heardAt = Date.now();
    switch (request.ask) {
      case 'lock':
        this.#locking ??= this.#takeLock();
        return this.#locking;
      case 'held': {
        const held = this.#locked && (await this.#stands());
        return tell({ say: 'held', id: request.id, held: held && this.#ending === undefined });
      }
      case 'release':
        return this.end(request.why);
    }
  }

  /** Whether the lock is there; a member that cannot be asked for half a lease is given up. */
  async #stands(): Promise<boolean> {
    const until = Date.now() + this.#order.leaseMs / 2;
    for (;;) {
      try {
        const { locked } = await this.#lock.look();
        if (!locked) this.#gone = true;
        return locked && !this.#gone;
      } catch {
        if (Date.now() > until) return false;
        await systemClock.sleep(LOOK_AGAIN_MS);
      }
    }
  }

  async #takeLock(): Promise<void> {
    const { address, journal, leaseMs } = this.#order;
    writeJournal(journal, { what: 'locking', at: now(), address, pid: process.pid, leaseMs });
    failpoint('watchdog.before-lock');
    await this.#lock.lock();
    this.#locked = true;
    failpoint('watchdog.after-lock');
    writeJournal(journal, { what: 'locked', at: now(), address });
    tell({ say: 'locked' });
  }

  /** Unlocks, says so, and ends the process. */
  end(why: string): Promise<void> {
    this.#ending ??= this.#end(why).catch(async (error) => {
      fail(error);
      await flushed();
      process.exit(1);
    });
    return this.#ending;
  }

  async #end(why: string): Promise<void> {
    const { address, journal } = this.#order;
    if (this.#locking !== undefined) {
      failpoint('watchdog.before-unlock');
      // One that stands after ours was gone is somebody else's.
      if (!this.#gone) await this.#lock.unlockCertainly(AbortSignal.timeout(GIVE_UP_AFTER_MS));
      failpoint('watchdog.after-unlock');
      writeJournal(journal, { what: 'released', at: now(), address, why });
    }
    tell({ say: 'released', why });
    await flushed();
    process.exit(0);
  }
}

function tell(answer: WatchdogAnswer): void {
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}

function fail(error: unknown): void {
  const known = error instanceof GodwitError ? error : new GodwitError('GW9001', String(error), { cause: error });
  tell({ say: 'failed', code: known.code, message: known.message });
}

function now(): string {
  return new Date(systemClock.now()).toISOString();
}

/** Until the pipe has taken what was said; at once when nobody listens any more. */
function flushed(): Promise<void> {
  return new Promise((resolve) => process.stdout.write('', () => resolve()));
}

async function main(): Promise<void> {
  armFromEnvironment(process.env);
  // Nobody listens any more: what is to be said then is in the journal.
  process.stdout.on('error', () => undefined);
  let watchdog: Watchdog | undefined;
  const end = (why: string) => {
    if (watchdog === undefined) process.exit(0);
    void watchdog.end(why);
  };
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const)
    process.on(signal, () => end(`the watchdog got ${signal}`));
  const lines = createInterface({ input: process.stdin });
  lines.on('line', (text) => {
    if (watchdog !== undefined) return void watchdog.hear(JSON.parse(text) as WatchdogRequest).catch(fail);
    lines.pause();
    const order = JSON.parse(text) as WatchdogOrder;
    MemberLock.open(receiveTarget(order.target)).then(
      (lock) => {
        watchdog = new Watchdog(order, lock);
        tell({ say: 'ready' });
        lines.resume();
      },
      async (error) => {
        fail(error);
        await flushed();
        process.exit(1);
      },
    );
  });
  lines.on('close', () => end('Godwit is gone'));
}

await main();
