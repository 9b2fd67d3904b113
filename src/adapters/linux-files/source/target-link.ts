/** The target as the source sees it, over one connection. */
import { CODES, type ErrorCode } from '../../../kernel/codes.ts';
import { GodwitError } from '../../../kernel/errors.ts';
import type { BytePath } from '../libc/bytes.ts';
import { type Difference, differencesOf } from '../proof/differences.ts';
import { type Listed, type ListOptions, type ListTotals, listTrees } from '../proof/list.ts';
import { type Channel, jsonOf, MESSAGE, type Message } from '../wire/channel.ts';
import { Outbox, type OutboxOptions } from '../wire/outbox.ts';
import { Packer, Unpacker } from '../wire/packer.ts';
import {
  type Failed,
  type Hello,
  PROTOCOL,
  type Proving,
  type Serve,
  type TargetListed,
  type Welcome,
} from '../wire/protocol.ts';
import type { Range } from '../wire/sums.ts';
import { walkKey } from './catalog-record.ts';
import type { Place } from './moved.ts';

/** What both sides found. */
export interface Proof {
  readonly entries: number;
  readonly bytes: number;
  readonly source: readonly string[];
  readonly target: readonly string[];
  readonly isEqual: boolean;
  /** The first of them. */
  readonly differences: readonly Difference[];
  readonly differenceCount: number;
}

const KEPT_DIFFERENCES = 20_000;

export class TargetLink {
  readonly welcome: Welcome;
  readonly outbox: Outbox;
  readonly #channel: Channel;
  readonly #answers: Answers;
  #taken = 0;

  private constructor(channel: Channel, answers: Answers, welcome: Welcome, options: Omit<OutboxOptions, 'done'>) {
    this.#channel = channel;
    this.#answers = answers;
    this.welcome = welcome;
    this.outbox = new Outbox(channel, { ...options, done: welcome.done });
    answers.listen(this.outbox);
  }

  static async open(
    channel: Channel,
    hello: Omit<Hello, 'protocol'>,
    options: Omit<OutboxOptions, 'done'>,
  ): Promise<TargetLink> {
    const answers = new Answers(channel);
    await channel.sendJson(MESSAGE.hello, { protocol: PROTOCOL, ...hello } satisfies Hello);
    return new TargetLink(channel, answers, (await answers.next(MESSAGE.welcome)) as Welcome, options);
  }

  /** Sums of ranges of a file as the target has it; undefined when it has no such file. */
  async sums(mapping: number, path: BytePath, ranges: readonly Range[]): Promise<Buffer | undefined> {
    await this.outbox.flush();
    const request = new Packer(path.length + 32 + ranges.length * 16);
    request.u16(mapping);
    request.text(path);
    request.u32(ranges.length);
    for (const { start, end } of ranges) {
      request.long(start);
      request.long(end);
    }
    await this.#channel.send(MESSAGE.sums, request.bytes);
    const answer = (await this.#answers.next(MESSAGE.sums)) as Buffer;
    return answer[0] === 1 ? answer.subarray(1) : undefined;
  }

  /** Gives a file of the target, which has no other name, the name of another place; false where that cannot be done. */
  async move(from: Place, to: Place): Promise<boolean> {
    await this.outbox.flush();
    const request = new Packer(from.path.length + to.path.length + 16);
    for (const { mapping, path } of [from, to]) {
      request.u16(mapping);
      request.text(path);
    }
    await this.#channel.send(MESSAGE.move, request.bytes);
    return ((await this.#answers.next(MESSAGE.move)) as Buffer)[0] === 1;
  }

  /** Waits until all that was carried out is on the target's medium. */
  async sync(): Promise<void> {
    await this.outbox.drain();
    await this.#channel.send(MESSAGE.sync);
    await this.#answers.next(MESSAGE.sync);
  }

  /** Both sides look at everything at the same time; the lists are merged unless only the hashes are asked for. */
  async prove(
    rootFds: readonly number[],
    how: Proving,
    options: ListOptions & { readonly onProgress: (entries: number, bytes: number) => void },
  ): Promise<Proof> {
    const listing = how.listing ? this.#answers.expectListing() : undefined;
    await this.#channel.sendJson(MESSAGE.prove, how);
    const totals: ListTotals = { entries: 0, bytes: 0, roots: [] };
    const differences: Difference[] = [];
    let differenceCount = 0;
    const onTurn = () => options.onProgress(totals.entries, totals.bytes);
    const source = paced(listTrees(rootFds, options, totals), onTurn);
    if (listing) {
      for await (const difference of differencesOf(source, listing)) {
        differenceCount += 1;
        if (differences.length < KEPT_DIFFERENCES) differences.push(difference);
      }
    } else for await (const _ of source);
    const listed = (await this.#answers.next(MESSAGE.listed)) as TargetListed;
    const { entries, bytes, roots } = totals;
    const isEqual = differenceCount === 0 && roots.every((root, at) => root === listed.roots[at]);
    return { entries, bytes, source: roots, target: listed.roots, isEqual, differences, differenceCount };
  }

  /** Asks that the services of the target run, or stand still; resolves when they do. */
  async serve(request: Serve): Promise<void> {
    await this.outbox.drain();
    await this.#channel.sendJson(MESSAGE.serve, request);
    await this.#answers.next(MESSAGE.serve);
  }

  /** Bytes sent since they were last taken. */
  get wireBytes(): number {
    return this.#channel.bytesSent - this.#taken;
  }

  takeWireBytes(): number {
    const bytes = this.wireBytes;
    this.#taken += bytes;
    return bytes;
  }

  /** Ends it in good order. */
  async close(): Promise<void> {
    await this.#channel.send(MESSAGE.bye).catch(() => {});
    await this.#channel.end();
  }

  destroy(): void {
    this.#channel.destroy();
  }
}

/** Lets other work have its turn every so often: the walk itself never waits. */
async function* paced(listed: Generator<Listed>, onTurn: () => void): AsyncGenerator<Listed, void, void> {
  let turnAt = performance.now() + 20;
  for (const each of listed) {
    yield each;
    if (performance.now() < turnAt) continue;
    onTurn();
    await new Promise((resolve) => setImmediate(resolve));
    turnAt = performance.now() + 20;
  }
  onTurn();
}

/** What the target sends: how far it is goes to the outbox, answers to whoever asked. */
class Answers {
  readonly #waiting: { resolve: (value: unknown) => void; reject: (error: unknown) => void; type: number }[] = [];
  readonly #early: { type: number; value: unknown }[] = [];
  #outbox: Outbox | undefined;
  #fault: unknown;
  /** Pieces of a listing: the reader of the connection waits until one was taken. */
  #piece: Buffer | 'end' | undefined;
  #isListing = false;
  #onPiece: (() => void) | undefined;
  #onTaken: (() => void) | undefined;

  readonly #channel: Channel;

  constructor(channel: Channel) {
    this.#channel = channel;
    this.#read(channel).then(
      () => this.#fail(new GodwitError('GW3001', 'The target ended the connection')),
      (error: unknown) => this.#fail(error),
    );
  }

  listen(outbox: Outbox): void {
    this.#outbox = outbox;
    if (this.#fault !== undefined) outbox.fail(this.#fault);
  }

  next(type: number): Promise<unknown> {
    const at = this.#early.findIndex((each) => each.type === type);
    if (at >= 0) return Promise.resolve(this.#early.splice(at, 1)[0]?.value);
    if (this.#fault !== undefined) return Promise.reject(this.#fault);
    return new Promise((resolve, reject) => this.#waiting.push({ resolve, reject, type }));
  }

  /** Before it is asked for. */
  expectListing(): AsyncGenerator<Listed, void, void> {
    this.#isListing = true;
    return this.#listing();
  }

  async *#listing(): AsyncGenerator<Listed, void, void> {
    for (;;) {
      while (this.#piece === undefined) {
        if (this.#fault !== undefined) throw this.#fault;
        await new Promise<void>((resolve) => {
          this.#onPiece = resolve;
        });
      }
      const piece = this.#piece;
      this.#piece = undefined;
      this.#onTaken?.();
      if (piece === 'end') return;
      for (const from = new Unpacker(piece); !from.done; ) {
        const mapping = from.u16();
        const path = from.text();
        yield { mapping, path, key: walkKey(mapping, path), line: from.text() };
      }
    }
  }

  async #read(channel: Channel): Promise<void> {
    for await (const message of channel.messages()) {
      if (message.type === MESSAGE.done)
        this.#outbox?.carriedOut(Number(message.payload.readBigUInt64LE(0)), message.payload.readDoubleLE(8));
      else if (message.type === MESSAGE.failed) throw errorOf(jsonOf(message) as Failed);
      else if (message.type === MESSAGE.listing) await this.#put(Buffer.from(message.payload));
      else {
        if (message.type === MESSAGE.listed && this.#isListing) {
          this.#isListing = false;
          await this.#put('end');
        }
        this.#answer(message);
      }
    }
  }

  async #put(piece: Buffer | 'end'): Promise<void> {
    while (this.#piece !== undefined) {
      await new Promise<void>((resolve) => {
        this.#onTaken = resolve;
      });
    }
    this.#piece = piece;
    this.#onPiece?.();
  }

  #answer(message: Message): void {
    const value =
      message.type === MESSAGE.sums || message.type === MESSAGE.move
        ? Buffer.from(message.payload)
        : message.payload.length === 0
          ? undefined
          : jsonOf(message);
    const at = this.#waiting.findIndex(({ type }) => type === message.type);
    if (at < 0) this.#early.push({ type: message.type, value });
    else this.#waiting.splice(at, 1)[0]?.resolve(value);
  }

  #fail(error: unknown): void {
    this.#fault ??= error;
    this.#outbox?.fail(this.#fault);
    // Whoever is writing need not wait until the other side is gone.
    this.#channel.destroy();
    for (const { reject } of this.#waiting.splice(0)) reject(this.#fault);
    this.#onPiece?.();
    this.#onTaken?.();
  }
}

function errorOf({ code, message, details }: Failed): GodwitError {
  const known: ErrorCode = code in CODES ? (code as ErrorCode) : 'GW5401';
  return new GodwitError(known, message, { details });
}
