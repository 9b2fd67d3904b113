import { systemClock } from '../../../kernel/clock.ts';
import { GodwitError } from '../../../kernel/errors.ts';
import { failpoint } from '../../../kernel/failpoint.ts';
import type { Position } from '../../../kernel/position.ts';
import type { Cluster } from '../cluster.ts';
import type { WireConnection } from '../wire/connection.ts';
import { guard } from './guard.ts';
import { openLock, writeJournal } from './journal.ts';
import type { MemberLock } from './member-lock.ts';
import type { WatchdogClient } from './watchdog-client.ts';

export interface FreezeOptions {
  readonly cluster: Cluster;
  /** `host:port` of the member to take; the best one when absent. */
  readonly member?: string;
  /** File that says what is locked, also when all of us are dead: `releaseLeftLock` reads it. */
  readonly journal: string;
  /** A Godwit that is silent for so long loses the lock. */
  readonly leaseMs?: number;
  readonly signal: AbortSignal;
  readonly onEvent: (kind: string, data: Record<string, unknown>) => void;
}

const UNLOCK_WITHIN_MS = 60_000;

/**
 * A secondary that stands still at a time point. Exactly the operations up to
 * there are applied on it, and none later as long as it is held.
 *
 *     freezeSecondary ──> held ──release──> let go
 *                          └── lost: the watchdog, the guard or a person ended it ──> let go
 */
export class FrozenMember {
  readonly address: string;
  /** Its last applied operation: T1. A majority of the replica set has it. */
  readonly timePoint: Position;
  /** From here the log is needed, so that no transaction open at the time point is missed. */
  readonly logFrom: Position;
  readonly lockedAtMs: number;
  readonly #options: FreezeOptions;
  readonly #lock: MemberLock;
  readonly #watchdog: WatchdogClient;
  readonly #guarding = new AbortController();
  #lost: string | undefined;
  #ending: Promise<void> | undefined;

  /** Made by `freezeSecondary`. */
  constructor(
    options: FreezeOptions,
    parts: {
      lock: MemberLock;
      watchdog: WatchdogClient;
      address: string;
      timePoint: Position;
      logFrom: Position;
      lockedAtMs: number;
    },
  ) {
    this.#options = options;
    this.#lock = parts.lock;
    this.#watchdog = parts.watchdog;
    this.address = parts.address;
    this.timePoint = parts.timePoint;
    this.logFrom = parts.logFrom;
    this.lockedAtMs = parts.lockedAtMs;
    options.cluster.avoid(parts.address);
    void this.#watchdog.over.then((why) => this.#lose(why));
    void guard(options.cluster, this.address, this.timePoint, this.#guarding.signal)
      .catch((error) => (error instanceof Error ? error.message : String(error)))
      .then((why) => why && this.#lose(why));
  }

  /** Why it does not stand still any more, though nobody here has let it go. */
  get lost(): string | undefined {
    return this.#lost;
  }

  get isHeld(): boolean {
    return this.#ending === undefined;
  }

  /** A connection to it; it may be made at any time. */
  connect(signal?: AbortSignal): Promise<WireConnection> {
    return this.#options.cluster.connectMember(this.address, signal);
  }

  /** Throws GW3003 unless it has stood still from the time point until now. */
  async assertHeld(): Promise<void> {
    if (this.isHeld && (await this.#watchdog.held()) && this.isHeld) return;
    throw new GodwitError(
      'GW3003',
      `${this.address} did not stand still all the time: ${this.#lost ?? 'it was let go'}`,
    );
  }

  /** Lets its writes go on. Throws GW7011 when it could not be unlocked. A second call does nothing. */
  release(why: string): Promise<void> {
    this.#ending ??= this.#end(why);
    return this.#ending;
  }

  #lose(why: string): void {
    if (this.#ending !== undefined) return;
    this.#lost = why;
    this.#options.onEvent('freeze-lost', { member: this.address, why });
    this.release(why).catch((error) =>
      this.#options.onEvent('fault', { code: error.code ?? 'GW7011', message: String(error.message) }),
    );
  }

  async #end(why: string): Promise<void> {
    this.#guarding.abort();
    failpoint('freeze.before-release');
    try {
      await unlock(this.#options, this.address, this.#lock, this.#watchdog, why);
    } finally {
      this.#options.cluster.allow(this.address);
      this.#lock.close();
    }
    failpoint('freeze.after-release');
    const seconds = Math.round((systemClock.now() - this.lockedAtMs) / 100) / 10;
    this.#options.onEvent('member-released', { member: this.address, seconds, why });
  }
}

/** Through the watchdog; by our own hand where it does not manage or is dead. */
export async function unlock(
  { journal }: FreezeOptions,
  address: string,
  lock: MemberLock,
  watchdog: WatchdogClient,
  why: string,
): Promise<void> {
  if (await watchdog.release(why)) return;
  if (openLock(journal) === undefined) return;
  try {
    await lock.unlockCertainly(AbortSignal.timeout(UNLOCK_WITHIN_MS));
  } catch (cause) {
    throw new GodwitError('GW7011', `${address} may still be locked: ${String((cause as Error).message)}`, {
      details: { member: address },
      cause,
    });
  }
  writeJournal(journal, { what: 'released', at: new Date().toISOString(), address, why });
}
