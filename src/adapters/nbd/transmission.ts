import { GodwitError, invariant } from '../../kernel/errors.ts';
import type { Extent } from '../../kernel/protect/volume.ts';
import { errnoOf } from './errno.ts';
import type { Agreement } from './handshake.ts';
import { ALLOCATION_ID } from './option-replies.ts';
import type { PayloadPool } from './payload-pool.ts';
import { COMMAND, COMMAND_FLAG, ERRNO, MOST_DESCRIPTORS, STATE } from './protocol.ts';
import { refusalOf } from './refusal.ts';
import { Replies } from './replies.ts';
import { type NbdRequest, RequestParser, type RequestSink } from './requests.ts';

/** What a connection may hold at a time; beyond it the socket is not read. */
export interface TransmissionLimits {
  readonly requests: number;
  /** Payloads of writes and of replies; one request may exceed it when it is alone. */
  readonly bytes: number;
}

/** What the connection does for it. */
export interface TransmissionHost {
  readonly isShuttingDown: boolean;
  /** Nothing that is written arrives any more. */
  readonly isGone: boolean;
  write(buffers: readonly Buffer[], sent: () => void): void;
  /** Ends the connection at once, with what it was told so far. */
  destroy(): void;
  /** Something has left: perhaps there is room for more, or nothing is left to do. */
  progressed(): void;
  /** An error of the volume, for the log; the client has been told. */
  failed(error: unknown): void;
}

interface Load {
  requests: number;
  working: number;
  bytes: number;
  /** Whether any of them has succeeded. */
  succeeded: boolean;
}

const nothing = (): Load => ({ requests: 0, working: 0, bytes: 0, succeeded: false });

/** Until it is asked again whether something may be told. */
const LATER_MS = 10;

/** The transmission phase of one connection ("Transmission"): requests to the volume, answers back, in any order. */
export class Transmission implements RequestSink {
  readonly #agreement: Agreement;
  readonly #limits: TransmissionLimits;
  readonly #host: TransmissionHost;
  readonly #replies: Replies;
  readonly #pool: PayloadPool;
  readonly #parser: RequestParser;
  /** Begun, and their replies have not left yet. */
  #requests = 0;
  /** Those of them that were not refused. */
  #working = 0;
  #bytes = 0;
  /** What becomes free when the replies collected now have left. */
  #leaving = nothing();
  #ended = false;

  constructor(agreement: Agreement, limits: TransmissionLimits, pool: PayloadPool, host: TransmissionHost) {
    this.#agreement = agreement;
    this.#limits = limits;
    this.#host = host;
    this.#pool = pool;
    this.#parser = new RequestParser(this, pool);
    this.#replies = new Replies(pool, (buffers, sent) => {
      const left = this.#leaving;
      this.#leaving = nothing();
      this.#send(buffers, left, () => {
        sent();
        this.#requests -= left.requests;
        this.#working -= left.working;
        this.#bytes -= left.bytes;
        host.progressed();
      });
    });
  }

  get isFull(): boolean {
    return this.#requests >= this.#limits.requests || this.#bytes >= this.#limits.bytes;
  }

  /** The volume has nothing to do for it, and every reply but refusals has left. */
  get isIdle(): boolean {
    return this.#working === 0;
  }

  /** As late as it can be: until here this process may have been stopped for any time. */
  #send(buffers: readonly Buffer[], load: Load, sent: () => void): void {
    const may = load.succeeded ? (this.#agreement.export.volume.mayTell?.() ?? 'now') : 'now';
    if (may === 'later' && !this.#host.isGone) {
      setTimeout(() => this.#send(buffers, load, sent), LATER_MS);
      return;
    }
    if (may === 'never') this.#host.destroy();
    this.#host.write(buffers, sent);
  }

  /** Sends what has been answered, now. */
  flushReplies(): void {
    this.#replies.flush();
  }

  /** The client said NBD_CMD_DISC: what comes after it is not looked at. */
  get isEnded(): boolean {
    return this.#ended;
  }

  /** As `RequestParser.push`. */
  push(chunk: Buffer): number {
    return this.#ended ? chunk.length : this.#parser.push(chunk);
  }

  /** No more bytes will come. */
  cutOff(): void {
    this.#ended = true;
    if (this.#parser.drop()?.refusal === 0) this.#working -= 1;
  }

  begin(request: NbdRequest): number {
    this.#requests += 1;
    const refusal = this.#refusal(request);
    if (refusal === 0) {
      this.#working += 1;
      this.#bytes += costOf(request);
    }
    return refusal;
  }

  run(request: NbdRequest, payload: Buffer | undefined, pooled: Buffer | undefined): void {
    if (this.#ended) {
      if (request.refusal === 0) this.#working -= 1;
      return;
    }
    if (request.refusal !== 0) {
      this.#answer(request, request.refusal);
      return;
    }
    switch (request.type) {
      case COMMAND.read:
        void this.#read(request);
        return;
      case COMMAND.write:
        void this.#write(request, payload!, pooled);
        return;
      case COMMAND.disconnect:
        this.#ended = true;
        this.#working -= 1;
        return;
      default:
        void this.#other(request);
    }
  }

  #refusal(request: NbdRequest): number {
    const refusal = refusalOf(request, this.#agreement);
    return refusal === 0 && this.#host.isShuttingDown && request.type !== COMMAND.disconnect
      ? ERRNO.ESHUTDOWN
      : refusal;
  }

  async #read(request: NbdRequest): Promise<void> {
    const { structured, export: served } = this.#agreement;
    const place = this.#replies.placeForRead(request.length, structured);
    try {
      await served.volume.read(request.offset, this.#replies.room(place, request.length));
    } catch (error) {
      this.#replies.abandon(place);
      this.#fail(request, error);
      return;
    }
    this.#leaves(request, true);
    this.#replies.sendRead(request, place, structured);
  }

  async #write(request: NbdRequest, payload: Buffer, pooled: Buffer | undefined): Promise<void> {
    const { volume } = this.#agreement.export;
    try {
      await volume.write(request.offset, payload, (request.flags & COMMAND_FLAG.fua) !== 0);
    } catch (error) {
      this.#fail(request, error);
      return;
    }
    if (pooled !== undefined) this.#pool.give(pooled);
    this.#leaves(request, true);
    this.#replies.sendSimple(request, 0);
  }

  async #other(request: NbdRequest): Promise<void> {
    const { volume } = this.#agreement.export;
    const { type, offset, length, flags } = request;
    const durable = (flags & COMMAND_FLAG.fua) !== 0;
    try {
      if (type === COMMAND.flush) await volume.flush();
      else if (type === COMMAND.trim) await volume.trim(offset, length, durable);
      else if (type === COMMAND.writeZeroes) {
        await volume.writeZeroes(offset, length, { durable, mayTrim: (flags & COMMAND_FLAG.noHole) === 0 });
      } else {
        const most = (flags & COMMAND_FLAG.reqOne) !== 0 ? 1 : MOST_DESCRIPTORS;
        const descriptors = descriptorsOf(await volume.extents(offset, length), most, length);
        this.#leaves(request, true);
        this.#replies.sendBlockStatus(request, ALLOCATION_ID, descriptors);
        return;
      }
    } catch (error) {
      this.#fail(request, error);
      return;
    }
    this.#answer(request, 0);
  }

  #fail(request: NbdRequest, error: unknown): void {
    this.#host.failed(error);
    // Only words of our own: the system's may name paths, which are none of the client's business.
    this.#answer(request, errnoOf(error), error instanceof GodwitError ? error.message : '');
  }

  #answer(request: NbdRequest, errno: number, words = ''): void {
    this.#leaves(request, errno === 0);
    // "Structured reply chunk message": an error of a read must be a chunk then, and any other should be.
    if (errno !== 0 && this.#agreement.structured) this.#replies.sendErrorChunk(request, errno, words);
    else this.#replies.sendSimple(request, errno);
  }

  /** What the request holds is given free when its reply has left. */
  #leaves(request: NbdRequest, succeeded: boolean): void {
    this.#leaving.requests += 1;
    if (succeeded) this.#leaving.succeeded = true;
    if (request.refusal !== 0) return;
    this.#leaving.working += 1;
    this.#leaving.bytes += costOf(request);
  }
}

function costOf({ type, length }: NbdRequest): number {
  return type === COMMAND.read || type === COMMAND.write ? length : 0;
}

/** Lengths and states, neighbours of one state as one; from a volume that keeps its promises. */
function descriptorsOf(extents: readonly Extent[], most: number, length: number): number[] {
  const descriptors: number[] = [];
  let covered = 0;
  let last = -1;
  for (const { length: size, hole, zero } of extents) {
    const state = (hole ? STATE.hole : 0) | (zero ? STATE.zero : 0);
    if (state === last) descriptors[descriptors.length - 2]! += size;
    else if (descriptors.length === 2 * most) break;
    else descriptors.push(size, state);
    covered += size;
    last = state;
  }
  invariant(covered > 0 && covered <= length, 'a volume gave extents that do not fit what was asked for');
  return descriptors;
}
