/**
 * A machine with new disks in the place of an auxiliary or a DR that is gone. It has forgotten what the other one had promised: so it
 * takes no part before both others have said how far promises went, and stands in for nobody before it has everything.
 */
import type { Link, Role, Ticker } from '../../../kernel/protect/ports.ts';
import type { Message, MessageOf } from './messages.ts';

/** Kept from the first moment until it has everything. */
export interface Joining {
  /** A number that no other machine was given. */
  readonly nonce: number;
  /** It has promised what the machine before it may have promised: it votes. */
  readonly knows: boolean;
  /** The primary treats it as empty since this operation. */
  readonly until?: number;
  /** The epoch in which it was said. */
  readonly since?: number;
}

export interface NewcomerParts {
  readonly self: Role;
  readonly link: Link<Message>;
  readonly ticker: Ticker;
  readonly retryMs: number;
  readonly joining: () => Joining | undefined;
  readonly epoch: () => number;
  /** Both others have said that nothing above was promised; `activated`: the DR leads, in that epoch. */
  readonly learned: (promised: number, activated: number) => void;
  /** The primary knows that this one has nothing. */
  readonly marked: (message: MessageOf<'marked'>) => void;
  /** Called again and again until it has everything. */
  readonly filling: () => void;
}

export class Newcomer {
  readonly #parts: NewcomerParts;
  readonly #heard = new Map<Role, { readonly promised: number; readonly activated: number }>();

  constructor(parts: NewcomerParts) {
    this.#parts = parts;
    // Whoever made this is not ready before.
    if (parts.joining() !== undefined) parts.ticker.after(parts.retryMs, () => this.#tick());
  }

  /** Whether it may not even vote yet. */
  get isUnaware(): boolean {
    return this.#parts.joining()?.knows === false;
  }

  /** Whether the primary has not said yet that it treats it as empty. */
  get isUnmarked(): boolean {
    const now = this.#parts.joining();
    return now !== undefined && now.until === undefined;
  }

  /** Whether what it holds is a part of what it should hold. */
  get isIncomplete(): boolean {
    return this.#parts.joining() !== undefined;
  }

  #tick(): void {
    const { joining, self, link, epoch, filling, ticker, retryMs } = this.#parts;
    const now = joining();
    if (now === undefined) return;
    const { nonce, knows, until } = now;
    if (!knows) {
      for (const to of (['primary', 'auxiliary', 'dr'] as const).filter((each) => each !== self)) {
        link.send(to, { type: 'join', epoch: 0, nonce });
      }
    } else if (until === undefined) link.send('primary', { type: 'empty', epoch: epoch(), nonce });
    else filling();
    ticker.after(retryMs, () => this.#tick());
  }

  receive(from: Role, message: Message): void {
    const now = this.#parts.joining();
    if (now === undefined) return;
    if (message.type === 'known' && !now.knows && message.nonce === now.nonce) {
      const { promised, activated } = message;
      this.#heard.set(from, { promised, activated });
      if (this.#heard.size < 2) return;
      const all = [...this.#heard.values()];
      this.#parts.learned(
        Math.max(...all.map((each) => each.promised)),
        Math.max(...all.map((each) => each.activated)),
      );
    }
    if (message.type === 'marked' && now.knows && now.until === undefined && message.nonce === now.nonce) {
      this.#parts.marked(message);
    }
  }
}
