/**
 * What the kernel asks of the systems around it. Small on purpose: an adapter
 * implements these few calls and the kernel's loops do the rest. Each contract
 * is written on the call; `test/contract/` runs the same suite on every
 * implementation.
 */
import type { Phase } from './phase.ts';
import type { Position } from './position.ts';

/** A run of consecutive log entries as the adapter reads and spools them. */
export interface LogBlock {
  /** Position of the first and the last entry. */
  readonly first: Position;
  readonly last: Position;
  readonly count: number;
  /** The entries, back to back, in the adapter's own encoding. */
  readonly bytes: Buffer;
}

/** The source's log of changes. */
export interface ChangeSource {
  /**
   * Streams every entry after `after`, in order, none missing, for ever, until
   * the signal is set. Only entries that can no longer be rolled back are given.
   * Throws GW4001 when the log no longer reaches back to `after`. A passing
   * fault is thrown as such; the caller starts again after the last block.
   */
  stream(after: Position, signal: AbortSignal): AsyncIterable<LogBlock>;
  /** Makes and returns a position at or after every write acknowledged so far. */
  mark(signal: AbortSignal): Promise<Position>;
  /** The oldest position the log still holds. */
  horizon(signal: AbortSignal): Promise<Position>;
}

/** Our own durable, ordered copy of the log, so that the source may forget. */
export interface ChangeLog {
  /** Position of the last entry appended, or POSITION_ZERO. */
  readonly end: Position;
  /** Bytes on disk. */
  readonly sizeBytes: number;
  /** Hands a block over. It must start after `end`. Durable only after `sync`. */
  append(block: LogBlock): Promise<void>;
  /** Makes all that was appended durable. */
  sync(): Promise<void>;
  /**
   * Gives the blocks after `after`, several merged into one up to about
   * `maxBytes`, then waits for more, until the signal is set. Several readers
   * may read at once. The bytes of a block are valid until the next is asked for.
   */
  read(after: Position, maxBytes: number, signal: AbortSignal): AsyncIterable<LogBlock>;
  /** Lets go of entries up to and including `upTo` (whole files only). */
  trim(upTo: Position): Promise<void>;
  close(): Promise<void>;
}

/** What applying a block achieved. */
export interface Applied {
  /** All entries up to here are on the target, durably (majority). */
  readonly position: Position;
  /** From here a fresh process must read again: at or before `position`. */
  readonly restartFrom: Position;
  /** The target's own time from which `position` is visible there. */
  readonly targetPosition: Position;
  /** Log entries seen, and writes made of them. */
  readonly entries: number;
  readonly writes: number;
  /** Commit time of the last entry at the source, milliseconds since the epoch. */
  readonly committedAtMs: number;
  /**
   * What the applier must remember to start again at `restartFrom`, when that
   * changed: JSON, stored in the same commit as the checkpoint.
   */
  readonly memory?: unknown;
}

/** The target's side of the log. */
export interface LogApplier {
  /**
   * Carries the entries of a block out on the target, in steps. Idempotent: a
   * block may come again, whole or in part, after any crash. What a step tells
   * is durable on a majority when it is given, and the caller commits it before
   * it asks for the next: a change of structure is a step of its own, so that
   * no write before it is ever repeated after it. Throws GW5xxx for what can
   * never succeed.
   */
  apply(block: LogBlock, signal: AbortSignal): AsyncIterable<Applied>;
}

/** A resumable unit of copying or verifying. */
export interface Chunk {
  readonly id: number;
  /** The collection or table, as the adapter names it. */
  readonly unit: string;
  /** Adapter's own bounds, opaque here. */
  readonly bounds: Buffer;
  /** Estimates, for progress and order. */
  readonly docs: number;
  readonly bytes: number;
}

/** Told while a chunk is being worked on: what has been moved since the last call. */
export type ChunkProgress = (docs: number, bytes: number) => void;

/** Reads a consistent copy and writes it to the target, a chunk at a time. */
export interface ChunkCopier {
  /**
   * Copies one chunk. When it returns, every document of the chunk that existed
   * at the source when the call began, or the log's later word on it, is durable
   * on a majority of the target. May be repeated from the start after any fault.
   */
  copy(chunk: Chunk, progress: ChunkProgress, signal: AbortSignal): Promise<void>;
}

/** One difference between source and target. */
export interface Drift {
  readonly unit: string;
  readonly kind: 'missing' | 'extra' | 'different' | 'structure';
  /** The key as canonical extended JSON, or the name of what differs. */
  readonly key: string;
  /** Digests of both sides, hexadecimal; absent where there is none. */
  readonly sourceDigest?: string;
  readonly targetDigest?: string;
  readonly note?: string;
}

/** What comparing a chunk found. */
export interface ChunkVerdict {
  readonly docs: number;
  readonly bytes: number;
  readonly drift: readonly Drift[];
}

/** Proves that a chunk is the same on both sides while both live. */
export interface ChunkVerifier {
  verify(chunk: Chunk, progress: ChunkProgress, signal: AbortSignal): Promise<ChunkVerdict>;
}

/** Makes one side refuse the writes of the chosen namespaces, and only those. */
export interface Fence {
  readonly kind: string;
  /** Idempotent. When it returns, no write that begins later can succeed. */
  raise(signal: AbortSignal): Promise<void>;
  /** Idempotent; gives back exactly what `raise` took, also from another process. */
  lower(signal: AbortSignal): Promise<void>;
}

/** The address that applications connect to. */
export interface Entry {
  readonly kind: string;
  /** Checks, without changing anything, that `flip` can work. Throws GW7005 or GW1001. */
  check(signal: AbortSignal): Promise<void>;
  /** Makes applications go to the target. Idempotent. */
  flip(signal: AbortSignal): Promise<void>;
  /** Makes applications go to the source again. Idempotent. */
  unflip(signal: AbortSignal): Promise<void>;
}

/** A run's durable memory, as the loops use it. */
export interface CheckpointStore {
  readonly phase: Phase;
  /** Reads a value written by `set`, or undefined. */
  get<T>(key: string): T | undefined;
  /** Writes a JSON value, durably. */
  set(key: string, value: unknown): void;
  /** Runs `work` in one commit: all of it is durable, or none. */
  commit(work: () => void): void;
  /** Moves to the next phase with an event, in one commit with `work`. Throws GW9001 on an illegal move. */
  enter(next: Phase, event: string, work?: () => void): void;
  /** Appends to the run's history. */
  event(kind: string, data: Record<string, unknown>): void;
}
