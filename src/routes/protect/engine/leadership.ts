/** Who leads: the primary asks for two of three votes, its own among them, and keeps a lease. */
import type { Link, Role, Ticker } from '../../../kernel/protect/ports.ts';
import type { Message } from './messages.ts';
import { holderTime, nextEpoch } from './voter.ts';

export interface LeadershipParts {
  readonly link: Link<Message>;
  readonly ticker: Ticker;
  readonly leaseMs: number;
  readonly beatMs: number;
  readonly retryMs: number;
  /** Keeps the epoch; `done` when it is durable. */
  readonly keep: (epoch: number, done: () => void) => void;
  /** It leads now. */
  readonly elected: (epoch: number) => void;
  /** The lease was renewed. */
  readonly renewed: () => void;
  /** The DR took over. */
  readonly deposed: () => void;
  /** The DR gave the volume back when it had led in that epoch: what it said before is no news. 0: never. */
  readonly returned: () => number;
  /** It follows the DR: it asks for nothing before it is told to. */
  readonly follows: boolean;
  /** It has no history of its own now, and knows of no promises. */
  readonly isNew: () => boolean;
}

const OTHERS: readonly Role[] = ['auxiliary', 'dr'];

export class Leadership {
  readonly #parts: LeadershipParts;
  #epoch: number;
  #state: 'asking' | 'keeping' | 'leading' | 'resigned' | 'deposed' = 'asking';
  #leaseUntil = -1;
  #above: number;
  /** No epoch is led in twice: a restart may have lost what was written in it. */
  #needsNew = true;

  constructor(parts: LeadershipParts, epoch: number) {
    this.#parts = parts;
    this.#epoch = epoch;
    this.#above = epoch;
    if (parts.follows) this.#state = 'deposed';
  }

  get epoch(): number {
    return this.#epoch;
  }

  get leads(): boolean {
    return this.#state === 'leading';
  }

  get isDeposed(): boolean {
    return this.#state === 'deposed';
  }

  /** Whether anything may be acknowledged or read at this instant. */
  get hasLease(): boolean {
    return this.#state === 'leading' && this.#parts.ticker.elapsed() < this.#leaseUntil;
  }

  start(): void {
    this.#ask();
    this.#retry();
    this.#beat();
  }

  receive(from: Role, message: Message): void {
    if (message.type === 'join' && !this.#parts.isNew()) {
      const promised = Math.max(this.#above, this.#epoch);
      this.#parts.link.send(from, { type: 'known', epoch: 0, nonce: message.nonce, promised, activated: 0 });
      return;
    }
    if (message.type === 'promise') {
      this.#above = Math.max(this.#above, message.promised);
      if (from === 'dr' && message.standing.activated > this.#parts.returned()) {
        this.depose();
        return;
      }
      if (this.#state === 'asking' && message.epoch === this.#epoch && message.granted) this.#keep();
      return;
    }
    if (message.type === 'fenced') {
      this.#above = Math.max(this.#above, message.promised);
      if (from === 'dr' && message.activated > this.#parts.returned()) {
        this.depose();
        return;
      }
      if (this.#state === 'leading' && message.promised > this.#epoch) {
        this.#state = 'asking';
        this.#needsNew = true;
      }
      return;
    }
    if (message.type === 'lease' && message.epoch === this.#epoch && this.#state === 'leading') {
      const until = message.at + holderTime(this.#parts.leaseMs);
      if (until <= this.#leaseUntil) return;
      this.#leaseUntil = until;
      this.#parts.renewed();
    }
  }

  #ask(): void {
    if (this.#state !== 'asking') return;
    // A promise is answered again to whoever asks again; only a higher one makes a new question.
    if (this.#above > this.#epoch || this.#needsNew) {
      this.#epoch = nextEpoch('primary', Math.max(this.#above, this.#epoch));
      this.#needsNew = false;
      this.#leaseUntil = -1;
    }
    for (const to of OTHERS) this.#parts.link.send(to, { type: 'prepare', epoch: this.#epoch, owner: 'primary' });
  }

  #keep(): void {
    this.#state = 'keeping';
    const epoch = this.#epoch;
    this.#parts.keep(epoch, () => {
      if (this.#state !== 'keeping') return;
      this.#state = 'leading';
      this.#sendBeats();
      this.#parts.elected(epoch);
    });
  }

  /** The volume is its again. */
  resume(above: number): void {
    this.#above = Math.max(this.#above, above);
    this.#needsNew = true;
    this.#state = 'asking';
    this.#ask();
  }

  /** It answers nothing more in this epoch: the others may give the lead to the DR at once. */
  resign(): void {
    this.#state = 'resigned';
    this.#leaseUntil = -1;
  }

  /** Nobody took it. */
  reclaim(): void {
    if (this.#state !== 'resigned') return;
    this.#needsNew = true;
    this.#state = 'asking';
    this.#ask();
  }

  /** The DR leads. */
  depose(): void {
    if (this.#state === 'deposed') return;
    this.#state = 'deposed';
    this.#parts.deposed();
  }

  #retry(): void {
    this.#parts.ticker.after(this.#parts.retryMs, () => {
      this.#ask();
      this.#retry();
    });
  }

  #beat(): void {
    this.#parts.ticker.after(this.#parts.beatMs, () => {
      if (this.#state === 'leading') this.#sendBeats();
      this.#beat();
    });
  }

  #sendBeats(): void {
    const at = this.#parts.ticker.elapsed();
    for (const to of OTHERS) this.#parts.link.send(to, { type: 'beat', epoch: this.#epoch, at });
  }
}
