/**
 * What the primary shares with the auxiliary: whole blocks, its tail, and its state values of them.
 * Two ways: by messages (`shared-lane.ts`), or written here into the area of the auxiliary
 * (`mounted-share.ts`).
 */
import type { MessageOf } from './messages.ts';

export interface SharedArea {
  /** For people. */
  readonly state: 'in use' | 'not mounted' | 'refused';
  /** Durable there, without a gap. */
  readonly acked: number;
  /** When it was last heard of, as the ticker has it. */
  readonly heardAt: number;
  /** Blocks after it must not be let go of for a moment, even if nobody else needs them. */
  readonly needed: number | undefined;
  /** A new epoch, whose first record is `head`. */
  begin(head: number): void;
  /** The auxiliary is another one, and has nothing. */
  forget(): void;
  receive(message: MessageOf<'shared' | 'mountable'>): void;
  /** Something was said by the auxiliary, whatever it was. */
  heard(): void;
  /** Sends what may be sent. */
  pump(): void;
  /** The data of an operation was sent to the DR for the first time. */
  copied(sequence: number): void;
  /** The states of these operations have changed. */
  changed(first: number, last: number): void;
  tick(): void;
}
