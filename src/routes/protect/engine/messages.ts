/** What the roles say to each other. Every message carries the epoch in which it is meant. */
import type { Point } from './ring.ts';

/** Who may lead. */
export type Owner = 'primary' | 'dr';

/** What a role answers when it is asked how far it is: `last` is durable there. */
export interface Standing {
  readonly base: Point;
  readonly last: Point;
  /** Epoch of the last record, by which histories are ranked. */
  readonly lastEpoch: number;
  /** The epoch in which the DR was promoted, as far as this role knows; 0 for none. */
  readonly activated: number;
  /** It has missed operations and cannot stand in for anybody yet. */
  readonly stale: boolean;
}

/** A record, named so that no other can be meant. */
export interface Mark {
  readonly sequence: number;
  readonly crc: number;
}

export type Message = { readonly epoch: number } & (
  | { readonly type: 'prepare'; readonly owner: Owner }
  | { readonly type: 'promise'; readonly granted: boolean; readonly promised: number; readonly standing: Standing }
  /** Somebody else was promised a higher epoch. */
  | { readonly type: 'fenced'; readonly promised: number; readonly activated: number }
  /** Asks for the lease; the answer repeats `at`, the asker's own time of asking. */
  | { readonly type: 'beat'; readonly at: number }
  | { readonly type: 'lease'; readonly at: number }
  /** The synchronous lane: records alone. What is `settled` may never be taken back. */
  | {
      readonly type: 'order';
      readonly records: Buffer;
      readonly settled: Mark;
      /** Begin anew there, and be stale until a mode record after `until` says otherwise. */
      readonly restart?: Point & { readonly until: number };
    }
  | {
      readonly type: 'ordered';
      readonly last: Point;
      readonly released: Point;
      readonly missing: boolean;
      readonly stale: boolean;
    }
  /** The data lane: one block. */
  | { readonly type: 'data'; readonly sequence: number; readonly crc: number; readonly payload: Buffer }
  /** Their data is durable there, where all up to `released` is in the image. */
  | { readonly type: 'stored'; readonly released: number; readonly blocks: readonly Mark[] }
  /** The shared area: whole blocks, the primary's tail, and its state values (`copied`: sent to the DR). */
  | {
      readonly type: 'share';
      readonly blocks: readonly Buffer[];
      readonly tail: Point;
      /** Begin anew at the tail: what is held is of no use. */
      readonly refill: boolean;
      readonly copied: readonly number[];
    }
  | { readonly type: 'shared'; readonly last: Point; readonly missing: boolean }
  /** Asks to mount the shared area instead, in this epoch; a later attempt ends every earlier one. */
  | { readonly type: 'mount'; readonly attempt: number }
  /** It is served there; nowhere, when the auxiliary was not told to. */
  | { readonly type: 'mountable'; readonly attempt: number; readonly where?: string }
  /** Asks for blocks: those of `only`, else all from `from` on, as many as go together. */
  | { readonly type: 'fetch'; readonly from: number; readonly only?: readonly Mark[] }
  | {
      readonly type: 'blocks';
      readonly from: number;
      readonly blocks: readonly Buffer[];
      /** Those of `only` that are not held here; nothing when it was not asked for some. */
      readonly lacks?: readonly number[];
      readonly copied: readonly number[];
    }
  /** Asks which blocks are held, and for the primary's state values of them. */
  | { readonly type: 'ask-table' }
  | {
      readonly type: 'table';
      /** Durable there: everything after `base` up to `last`. */
      readonly base: Point;
      readonly last: Point;
      /** First and last sequence of what was sent to the DR. */
      readonly copied: readonly (readonly [number, number])[];
    }
  /** The primary asks for the hashes of chunks of the DR's image as of an operation, and the answer; nothing: it went on before. */
  | {
      readonly type: 'compare';
      readonly token: number;
      readonly at: Mark;
      /** Bytes of the volume that is compared: one that grows may have more at the DR. */
      readonly size: number;
      readonly chunks: readonly number[];
    }
  | {
      readonly type: 'compared';
      readonly token: number;
      readonly chunks: readonly number[];
      readonly hashes: readonly (string | null)[];
    }
  | { readonly type: 'activate' }
  | { readonly type: 'activated' }
  /** Of a machine with new disks: it has forgotten what was promised in its place. Asks both others, and hears of them. */
  | { readonly type: 'join'; readonly nonce: number }
  | { readonly type: 'known'; readonly nonce: number; readonly promised: number; readonly activated: number }
  /** Tells the primary that there is nothing here, of whatever was confirmed from this place before; and its answer. */
  | { readonly type: 'empty'; readonly nonce: number }
  | { readonly type: 'marked'; readonly nonce: number; readonly until: number; readonly size: number }
  /** The DR shall have room for so many bytes, and has. */
  | { readonly type: 'grow'; readonly size: number }
  | { readonly type: 'grown'; readonly size: number }
  /** The DR asks the living primary for the lead: writers may wait for so long. It does, and where; or it does not. */
  | { readonly type: 'yield'; readonly run: number; readonly stallMs: number }
  | { readonly type: 'yielded'; readonly run: number; readonly last: Point }
  | { readonly type: 'kept'; readonly run: number; readonly why: string }
  /** The primary gives back the lease of this epoch, in which it never answers again. */
  | { readonly type: 'resign' }
  | FailbackMessage
);

/**
 * Of a failback: a DR that leads gives the volume back. `run` numbers the attempts of the DR,
 * `session` the starts of a primary, so that nothing late is taken for something new.
 */
type FailbackMessage =
  /** Asks the old primary, or a new machine in its place, to take the volume. It is as of `base`, and what the DR wrote since. */
  | {
      readonly type: 'invite';
      readonly run: number;
      readonly base: Point;
      readonly stale: boolean;
      readonly size: number;
    }
  /** Of the primary: here it is. */
  | {
      readonly type: 'parted';
      readonly run: number;
      readonly session: number;
      /** It has given up its own history already, in that session; everything it lacks is marked at the DR. */
      readonly follows?: number;
      /** Chunks that may be different here from the volume as of `base`. */
      readonly touched?: Buffer;
      /** The histories do not meet: any chunk may be different. */
      readonly all: boolean;
      /** The end of its own history. */
      readonly last: Point;
    }
  /** What it lacks is marked, durably: it may give up its own history. */
  | { readonly type: 'noted'; readonly run: number; readonly session: number }
  /** Asks for the hashes of a chunk's units, and the answer: 8 bytes of each. */
  | {
      readonly type: 'ask-units';
      readonly run: number;
      readonly session: number;
      readonly token: number;
      readonly chunk: number;
    }
  | {
      readonly type: 'units';
      readonly run: number;
      readonly session: number;
      readonly token: number;
      readonly chunk: number;
      readonly hashes: Buffer;
    }
  /** Units of a chunk, one after the other; `token` names this very content of all of it. */
  | {
      readonly type: 'chunk';
      readonly run: number;
      readonly session: number;
      readonly token: number;
      readonly chunk: number;
      readonly units: readonly number[];
      readonly payload: Buffer;
    }
  /** They are durable at the primary, and the whole chunk reads back with this hash. */
  | {
      readonly type: 'have';
      readonly run: number;
      readonly session: number;
      readonly token: number;
      readonly chunk: number;
      readonly hash: string;
    }
  /** Asks for the hashes of some chunks, and the answer. */
  | {
      readonly type: 'prove';
      readonly run: number;
      readonly session: number;
      readonly token: number;
      readonly from: number;
      readonly count: number;
    }
  | {
      readonly type: 'proof';
      readonly run: number;
      readonly session: number;
      readonly token: number;
      readonly hashes: readonly string[];
    }
  /** The DR leads no more: the volume goes on from `origin`, at the primary. */
  | { readonly type: 'handed'; readonly as: number; readonly origin: Point };

export type MessageOf<T extends Message['type']> = Extract<Message, { type: T }>;
