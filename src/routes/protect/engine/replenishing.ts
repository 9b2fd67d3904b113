/** The primary, when an auxiliary or a DR was replaced by one with new disks: everything goes there once more. */
import type { Role } from '../../../kernel/protect/ports.ts';
import type { MessageOf } from './messages.ts';
import type { Primary } from './primary.ts';

/** Of a volume that has content while no DR has said yet that it begins empty. No machine has the number 0. */
export const UNKNOWN_DR = { nonce: 0, until: 0, done: false } as const;

export class Replenishing {
  readonly #primary: Primary;
  #marking = false;
  /** The mode record by which the new DR is counted in. */
  countedAt: number | undefined;
  /** The auxiliary that was told already. */
  #auxiliary: { readonly nonce: number; readonly until: number } | undefined;

  constructor(primary: Primary) {
    this.#primary = primary;
  }

  /** Whether a DR that had nothing lacks something still. */
  get isRunning(): boolean {
    const { filling } = this.#primary.state.value;
    return this.#marking || (filling !== undefined && !filling.done);
  }

  /** Whether no DR is there to which the volume's content could go: nothing may be written before. */
  get isAwaited(): boolean {
    return this.#primary.state.value.filling?.nonce === UNKNOWN_DR.nonce;
  }

  begin(from: Role, { nonce, epoch }: MessageOf<'empty'>): void {
    const { leadership, history, lanes } = this.#primary;
    if (!leadership.leads || epoch > leadership.epoch) return;
    if (from === 'dr') {
      this.#beginDr(nonce);
      return;
    }
    if (this.#auxiliary?.nonce !== nonce) {
      lanes.forgetAuxiliary();
      this.#auxiliary = { nonce, until: history.last.sequence };
      lanes.pump();
    }
    this.#tell(from, this.#auxiliary);
  }

  #beginDr(nonce: number): void {
    const { state, dirty, lanes, history, parts } = this.#primary;
    const { filling } = state.value;
    if (filling?.nonce === nonce) {
      this.#tell('dr', filling);
      return;
    }
    if (this.#marking) return;
    // From here on no mode record counts it in, and no block is let go of for the one before.
    this.#marking = true;
    this.countedAt = undefined;
    for (let chunk = 0; chunk < dirty.chunks; chunk += 1) dirty.mark(dirty.chunk(chunk).offset, 1);
    lanes.forgetDr();
    dirty.save((error) => {
      if (error) return parts.failed(error);
      const fresh = { nonce, until: history.last.sequence, done: false };
      state.save({ filling: fresh }, (failure) => {
        if (failure) return parts.failed(failure);
        this.#marking = false;
        this.#tell('dr', fresh);
      });
    });
  }

  #tell(to: Role, { nonce, until }: { readonly nonce: number; readonly until: number }): void {
    const { leadership, parts } = this.#primary;
    parts.link.send(to, { type: 'marked', epoch: leadership.epoch, nonce, until, size: parts.areas.image.bytes });
  }

  /** Over when the DR itself says that it was counted in. */
  tick(): void {
    const { state, lanes, parts } = this.#primary;
    const { filling } = state.value;
    if (filling === undefined || filling.done || this.#marking || this.countedAt === undefined) return;
    const isStale = lanes.isStaleAfter(this.countedAt);
    if (isStale === undefined) return;
    if (isStale) {
      // The primary had lost its last operations, and with them the numbers that it had named.
      this.countedAt = undefined;
      return;
    }
    state.save({ filling: { ...filling, done: true } }, (error) => error && parts.failed(error));
  }
}
