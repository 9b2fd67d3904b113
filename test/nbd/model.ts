import {
  BLOCK_STATUS,
  CACHE,
  DF,
  DISC,
  EINVAL,
  EIO,
  ENOSPC,
  ENOTSUP,
  EOVERFLOW,
  EPERM,
  FAST_ZERO,
  FLUSH,
  FUA,
  NO_HOLE,
  READ,
  REQ_ONE,
  type Request,
  TRIM,
  WRITE,
  WRITE_ZEROES,
} from './words.ts';

/** What the judge knows of an export and of the connection. */
export interface Terms {
  readonly size: number;
  readonly least: number;
  readonly most: number;
  readonly readOnly: boolean;
  /** The volume fails now and then, before it has done anything. */
  readonly flaky: boolean;
  readonly structured: boolean;
  readonly allocation: boolean;
}

/** Errors that are right as the answer; where there are some, success is wrong. */
export function errorsOf(request: Request, terms: Terms): readonly number[] {
  const { type, flags, offset, length } = request;
  const errors: number[] = [];
  const known = [READ, WRITE, FLUSH, TRIM, WRITE_ZEROES, BLOCK_STATUS].includes(type);
  if (!known) return [EINVAL];
  let legal = FUA;
  if (type === READ && terms.structured) legal |= DF;
  if (type === WRITE_ZEROES) legal |= NO_HOLE | FAST_ZERO;
  if (type === BLOCK_STATUS) legal |= REQ_ONE;
  if ((flags & ~legal) !== 0) errors.push(EINVAL);
  if (type === FLUSH) return offset !== 0n || length !== 0 ? [EINVAL] : errors;
  const changes = type === WRITE || type === TRIM || type === WRITE_ZEROES;
  if (changes && terms.readOnly) errors.push(EPERM);
  if (type === BLOCK_STATUS && !terms.allocation) errors.push(EINVAL);
  if (length === 0 || length % terms.least !== 0 || offset % BigInt(terms.least) !== 0n) errors.push(EINVAL);
  if (offset + BigInt(length) > BigInt(terms.size)) {
    errors.push(type === WRITE || type === WRITE_ZEROES ? ENOSPC : EINVAL);
  }
  if (type === READ && length > terms.most) errors.push(terms.structured ? EOVERFLOW : EINVAL);
  if (type === WRITE && length > terms.most) errors.push(EINVAL);
  if (type === WRITE_ZEROES && (flags & FAST_ZERO) !== 0) errors.push(ENOTSUP); // no volume here is fast
  return errors;
}

/** Errors that may come beside success. */
export function faultsOf(terms: Terms): readonly number[] {
  return terms.flaky ? [EIO, ENOSPC, EPERM] : [];
}

/** Never answered. */
export function isDisconnect(request: Request): boolean {
  return request.type === DISC;
}

export const ILLEGAL_TYPES = [CACHE, 8, 9, 100, 0xffff] as const;

export interface Change {
  readonly from: number;
  readonly to: number;
  /** Bytes written; undefined: zeroes. */
  readonly payload: Buffer | undefined;
  /** Whether the change may be there or not, byte by byte. */
  readonly optional: boolean;
}

/** The content as it must be: bytes, and what is under way above them. */
export class Content {
  readonly bytes: Buffer;
  #changes: Change[] = [];

  constructor(bytes: Buffer) {
    this.bytes = bytes;
  }

  /** A request that changes something is on its way. */
  begin(request: Request): Change {
    const from = Number(request.offset);
    const to = from + request.length;
    const change = { from, to, payload: request.payload, optional: request.type === TRIM };
    this.#changes.push(change);
    return change;
  }

  /** It was answered with an error: nothing of it may be there. */
  cancel(change: Change): void {
    this.#changes = this.#changes.filter((each) => each !== change);
  }

  /** The connection is gone: what was not answered may have happened or not. */
  doubt(change: Change): void {
    this.#changes = this.#changes.map((each) => (each === change ? { ...each, optional: true } : each));
  }

  /** The place of the first byte that cannot be what was read there; -1 when all can. */
  firstWrong(from: number, read: Buffer): number {
    if (this.bytes.compare(read, 0, read.length, from, from + read.length) === 0 && this.#changes.length === 0)
      return -1;
    const near = this.#changes.filter((change) => change.from < from + read.length && change.to > from);
    if (near.length === 0) {
      if (this.bytes.compare(read, 0, read.length, from, from + read.length) === 0) return -1;
    }
    for (let i = 0; i < read.length; i++) {
      const at = from + i;
      const byte = read[i];
      if (byte === this.bytes[at]) continue;
      const may = near.some(
        ({ from: a, to: b, payload }) => at >= a && at < b && byte === (payload === undefined ? 0 : payload[at - a]),
      );
      if (!may) return at;
    }
    return -1;
  }

  /**
   * Everything under way has been answered. Gives the ranges in which more than one outcome is possible;
   * `adopt` has to be told what is there.
   */
  settle(): readonly (readonly [number, number])[] {
    const open: (readonly [number, number])[] = [];
    const changes = this.#changes.sort((a, b) => a.from - b.from);
    let i = 0;
    while (i < changes.length) {
      const first = changes[i]!;
      let { to } = first;
      let next = i + 1;
      while (next < changes.length && changes[next]!.from < to) to = Math.max(to, changes[next++]!.to);
      if (next === i + 1 && !first.optional) {
        if (first.payload === undefined) this.bytes.fill(0, first.from, first.to);
        else first.payload.copy(this.bytes, first.from);
      } else open.push([first.from, to]);
      i = next;
    }
    if (open.length === 0) this.#changes = [];
    return open;
  }

  /** What a read of an open range gave, after `settle` and `firstWrong`. */
  adopt(from: number, read: Buffer): void {
    read.copy(this.bytes, from);
  }

  /** All open ranges are adopted. */
  closed(): void {
    this.#changes = [];
  }
}
