/**
 * One of the three votes on who leads. A promise is durable before it is given, and is
 * never given while the lease of somebody else may be in force.
 *
 * Rates of clocks may differ: who holds a lease counts it shorter than who gave it.
 */
import type { Ticker } from '../../../kernel/protect/ports.ts';
import type { Owner } from './messages.ts';
import type { Joining } from './newcomer.ts';
import type { Superblock } from './superblock.ts';

const HOLDER_SHARE = 0.85;
const GIVER_SHARE = 1.15;

/** How long the holder relies on a lease, from the moment it asked. */
export function holderTime(leaseMs: number): number {
  return leaseMs * HOLDER_SHARE;
}

/** Even epochs are the primary's, odd ones the DR's: no two ever lead in one epoch. */
export function ownerOf(epoch: number): Owner {
  return epoch % 2 === 0 ? 'primary' : 'dr';
}

export function nextEpoch(owner: Owner, above: number): number {
  const next = above + 1;
  return ownerOf(next) === owner ? next : next + 1;
}

export interface VoterState {
  /** Nothing of an older epoch is listened to. */
  readonly promised: number;
  /** The epoch in which the DR took over for good; 0 for none. */
  readonly activated: number;
  /** It is new in the place of another one. */
  readonly joining?: Joining | undefined;
}

export class Voter {
  readonly #state: Superblock<VoterState>;
  readonly #ticker: Ticker;
  readonly #leaseMs: number;
  #leaseUntil: number;

  constructor(state: Superblock<VoterState>, ticker: Ticker, leaseMs: number) {
    this.#state = state;
    this.#ticker = ticker;
    this.#leaseMs = leaseMs;
    // A lease given before a restart may be in force still.
    this.#leaseUntil = state.value.promised === 0 ? 0 : ticker.elapsed() + leaseMs * GIVER_SHARE;
  }

  get promised(): number {
    return this.#state.value.promised;
  }

  get activated(): number {
    return this.#state.value.activated;
  }

  /** Gives the lease to whoever leads in the promised epoch. */
  giveLease(): void {
    this.#leaseUntil = this.#ticker.elapsed() + this.#leaseMs * GIVER_SHARE;
  }

  /** The holder gave it back. */
  endLease(): void {
    this.#leaseUntil = 0;
  }

  get isLeased(): boolean {
    return this.#ticker.elapsed() < this.#leaseUntil;
  }

  /** Whether it may promise that epoch now. */
  mayPromise(epoch: number): boolean {
    if (epoch <= this.promised) return false;
    if (this.activated > 0 && ownerOf(epoch) === 'primary') return false;
    return this.promised === 0 || ownerOf(epoch) === ownerOf(this.promised) || !this.isLeased;
  }

  /** Promises; in force at once, and `done` when it is durable. */
  promise(epoch: number, done: () => void): void {
    // A primary that leads again has asked the DR, which has the last word on whether it took over.
    const activated = ownerOf(epoch) === 'primary' ? 0 : this.activated;
    this.#state.save({ promised: epoch, activated }, (error) => {
      if (!error) done();
    });
    this.giveLease();
  }
}
