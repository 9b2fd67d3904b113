/** What the engine of `protect` asks of the world: time, storage and messages, each injected. */

/** Called once; with an error when it could not be done, and then nothing may be assumed of what was asked. */
export type Done = (error?: Error) => void;

/** Time for leases and retries. It never jumps; its rate may be off by a few percent. */
export interface Ticker {
  /** Milliseconds since some moment. Not the time of day. */
  elapsed(): number;
  /** Milliseconds since the epoch, for people; nothing is decided by it. */
  now(): number;
  /** Calls `act` once after `ms`, unless it is cancelled before. */
  after(ms: number, act: () => void): () => void;
}

/** A fixed stretch of durable storage: a file, or a part of a device. */
export interface Area {
  readonly bytes: number;
  /** Fills `into` with what was written last; never written is zeroes. */
  read(position: number, into: Buffer): Promise<void>;
  /**
   * A later read sees it once it is done. Nothing of it survives a crash for certain before a
   * sync, and any part of it may. Two writes under way at once must not touch the same bytes.
   */
  write(position: number, data: Buffer, done: Done): void;
  /** As if zeroes were written; space may be given back. */
  clear(position: number, bytes: number, done: Done): void;
  /** Every write that was done before this call survives any crash once this is done. */
  sync(done: Done): void;
}

/** An area of another machine, as it is used from here. What fails once, fails for good: then it is to be mounted anew. */
export interface MountedArea extends Area {
  /** A write that survives any crash once it is done, by one way there and back. */
  writeDurably(position: number, data: Buffer, done: Done): void;
  /** Lets go of it; what is under way may still happen there, even much later. */
  close(): void;
}

/** Lets another machine mount an area. */
export interface AreaServer {
  /** Gives a word by which it can be mounted from now on; no two are the same. */
  offer(area: MountedArea): string;
  /** Ends that, and hangs up on whom it has been mounted by. */
  withdraw(where: string): void;
}

/** Mounts what an `AreaServer` offers. */
export interface AreaClient {
  mount(where: string): Promise<MountedArea>;
}

/** One that can be made longer; never shorter. */
export interface GrowingArea extends Area {
  /** It is as long as it will ever be: a block device. */
  readonly isFixed: boolean;
  /** `bytes` is so much once this is done, durably; what is new reads as zeroes. */
  grow(bytes: number, done: Done): void;
}

export type Role = 'primary' | 'auxiliary' | 'dr';

/** Messages to the other roles. Each may be lost, doubled, late, or overtaken by another; none is altered. */
export interface Link<Message> {
  send(to: Role, message: Message): void;
}
