import { closeSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import type { ErrorCode } from '../../../kernel/codes.ts';
import { GodwitError, invariant, throwIfAborted } from '../../../kernel/errors.ts';
import { type BytePath, fromText, type Name, toText } from '../libc/bytes.ts';
import { renameAt } from '../libc/change.ts';
import { readNames } from '../libc/directory.ts';
import { syncFileSystemAside } from '../libc/file-system.ts';
import { errnoOf } from '../libc/native.ts';
import { openForReading, openNamedDirectory, unless, withFd } from '../libc/open.ts';
import { identityOf, statAt, statFd } from '../libc/stat.ts';
import { type Listed, type ListTotals, listTrees } from '../proof/list.ts';
import { Memo } from '../proof/memo.ts';
import type { Remark } from '../source/remark.ts';
import type { Mapping } from '../source/roots.ts';
import { bootId } from '../wire/boot.ts';
import { type Channel, jsonOf, MESSAGE, type Message } from '../wire/channel.ts';
import { Packer, Unpacker } from '../wire/packer.ts';
import {
  type Failed,
  type Hello,
  PROTOCOL,
  type Proving,
  type Serve,
  type TargetListed,
  type TargetServices,
  type Welcome,
} from '../wire/protocol.ts';
import { areFew, type Range, sumsOf } from '../wire/sums.ts';
import { Applier } from './applier.ts';
import { Journal } from './journal.ts';
import { isBelow, Place } from './place.ts';

export interface ReceiverOptions {
  /** Everything is written below it. */
  readonly root: string;
  /** Where the journal is; not below the root. */
  readonly stateDir: string;
  readonly unzstd: (data: Buffer) => Promise<Buffer>;
  readonly signal: AbortSignal;
  readonly services: Services;
  /** What is below the root already becomes what the source has. */
  readonly replaces: boolean;
  readonly still: Still;
  readonly onEvent: (event: ReceiverEvent) => void;
}

/** Who may ask that nothing be written for a while. */
export interface Still {
  /** Waits while that is so. */
  pass(signal: AbortSignal): Promise<void>;
  /** What lies there now is of a round that goes on. */
  written(): void;
  /** What lies there now is what a whole round left, and on the medium. */
  roundEnded(): void;
}

/** The services of the target: who starts and stops them, and remembers what came of it. */
export interface Services {
  readonly known: TargetServices;
  serve(request: Serve): Promise<void>;
}

export type ReceiverEvent =
  | { readonly kind: 'begun'; readonly move: string; readonly mappings: readonly Mapping[]; readonly resumedAt: number }
  | { readonly kind: 'remark'; readonly remark: Remark }
  | { readonly kind: 'proving' }
  | { readonly kind: 'ended'; readonly bundles: number };

const SYNC_BYTES = 256 * 1024 * 1024;
const SYNC_MS = 5_000;
/** Between two of them at least so many times as long as the last one took: a slow medium is not kept from its work. */
const SYNC_REST = 4;
const LISTING = 64 * 1024;
const TURN_MS = 20;

/** Serves one source until it says goodbye (true) or is gone. Only one at a time may write below a root. */
export async function receive(channel: Channel, options: ReceiverOptions): Promise<boolean> {
  const receiver = new Receiver(channel, options);
  const onAbort = () => channel.destroy();
  options.signal.addEventListener('abort', onAbort, { once: true });
  try {
    for await (const message of channel.messages()) {
      await options.still.pass(options.signal);
      if (!(await receiver.take(message))) return true;
    }
    return false;
  } catch (error) {
    throwIfAborted(options.signal);
    await channel.sendJson(MESSAGE.failed, failureOf(error)).catch(() => {});
    throw error;
  } finally {
    options.signal.removeEventListener('abort', onAbort);
    await receiver.close();
    await channel.end();
    channel.destroy();
  }
}

function failureOf(error: unknown): Failed {
  if (error instanceof GodwitError) {
    const details = Object.fromEntries(
      Object.entries(error.details).map(([name, value]) => [name, typeof value === 'object' ? String(value) : value]),
    );
    return { code: error.code, message: error.message, details: details as Failed['details'] };
  }
  const code: ErrorCode = errnoOf(error) === undefined ? 'GW9001' : 'GW5401';
  return { code, message: error instanceof Error ? error.message : String(error), details: {} };
}

class Receiver {
  readonly #channel: Channel;
  readonly #options: ReceiverOptions;
  #rootFd = -1;
  #journal: Journal | undefined;
  #place: Place | undefined;
  #applier: Applier | undefined;
  #mappings: readonly Mapping[] = [];
  #syncing: Promise<void> | undefined;
  #sinceSync = 0;
  #syncedAt = performance.now();
  #syncTookMs = 0;
  #bundles = 0;
  /** What carrying out took so far. */
  #appliedMs = 0;

  constructor(channel: Channel, options: ReceiverOptions) {
    this.#channel = channel;
    this.#options = options;
  }

  /** Carries out one message; false: it was the last one. */
  async take(message: Message): Promise<boolean> {
    switch (message.type) {
      case MESSAGE.hello:
        await this.#hello(jsonOf(message) as Hello);
        return true;
      case MESSAGE.bundle:
        await this.#bundle(message.payload.subarray(0, 16), message.payload.subarray(16));
        return true;
      case MESSAGE.zstdBundle: {
        const head = Buffer.from(message.payload.subarray(0, 16));
        await this.#bundle(head, await this.#options.unzstd(message.payload.subarray(16)));
        return true;
      }
      case MESSAGE.sync:
        await this.#sync();
        this.#options.still.roundEnded();
        await this.#channel.send(MESSAGE.sync);
        return true;
      case MESSAGE.sums:
        await this.#sums(new Unpacker(message.payload));
        return true;
      case MESSAGE.move:
        await this.#move(new Unpacker(message.payload));
        return true;
      case MESSAGE.prove:
        await this.#prove(jsonOf(message) as Proving);
        return true;
      case MESSAGE.serve:
        await this.#serve(jsonOf(message) as Serve);
        return true;
      case MESSAGE.bye:
        return false;
      default:
        throw new GodwitError('GW9001', `The source sent a message of unknown type ${message.type}`);
    }
  }

  async #hello({ protocol, move, mappings }: Hello): Promise<void> {
    if (protocol !== PROTOCOL)
      throw new GodwitError('GW2403', `The source speaks protocol ${protocol}, this target ${PROTOCOL}`);
    const targets = mappings.map(({ target }) => fromText(target).replace(/^\/+|\/+$/g, ''));
    for (const [at, target] of targets.entries())
      if (!isBelow(target)) throw new GodwitError('GW2403', `${mappings[at]?.target ?? ''} leads out of the root`);
    mkdirSync(this.#options.root, { recursive: true, mode: 0o755 });
    this.#rootFd = openNamedDirectory(fromText(this.#options.root));
    const journal = new Journal(this.#options.stateDir, bootId());
    this.#journal = journal;
    if (journal.move !== undefined && !isSame(journal.move, { move, mappings })) {
      throw new GodwitError('GW2404', `${this.#options.root} holds another move, or this one with other directories`, {
        details: { has: journal.move.move, asked: move },
      });
    }
    const place = new Place(this.#rootFd, targets);
    for (const mapping of targets.keys()) {
      place.makeRoot(mapping);
      if (journal.move === undefined && !this.#options.replaces)
        this.#mustBeEmpty(place, mapping, mappings[mapping]?.target ?? '');
    }
    if (journal.move === undefined) journal.begin({ move, mappings });
    this.#mappings = mappings;
    this.#place = place;
    this.#applier = new Applier(place, (remark) => this.#options.onEvent({ kind: 'remark', remark }));
    this.#options.onEvent({ kind: 'begun', move, mappings, resumedAt: journal.done });
    const own = [statFd(this.#rootFd).identity, identityOf(this.#options.stateDir)].map((identity) =>
      Buffer.from(identity, 'latin1').toString('base64'),
    );
    const { services, replaces } = this.#options;
    const welcome: Welcome = { done: journal.done, boot: bootId(), own, services: services.known, replaces };
    await this.#channel.sendJson(MESSAGE.welcome, welcome);
  }

  #mustBeEmpty(place: Place, mapping: number, target: string): void {
    const names = withFd(place.openDirectory(mapping, ''), readNames).filter((name) => name !== 'lost+found');
    if (names.length === 0) return;
    throw new GodwitError('GW2404', `${target} below ${this.#options.root} is not empty`, {
      details: { names: names.slice(0, 10).map(toText) },
    });
  }

  async #bundle(head: Buffer, operations: Buffer): Promise<void> {
    invariant(this.#journal && this.#applier, 'A bundle came before hello');
    this.#mustStandStill();
    const sequence = new Unpacker(head).long();
    invariant(sequence === this.#journal.done + 1, `Bundle ${sequence} came after ${this.#journal.done}`);
    this.#options.still.written();
    const appliedAt = performance.now();
    this.#applier.apply(operations);
    this.#appliedMs += performance.now() - appliedAt;
    this.#journal.carriedOut(sequence);
    this.#bundles += 1;
    this.#sinceSync += operations.length;
    const restedMs = performance.now() - this.#syncedAt;
    const isDue = this.#sinceSync >= SYNC_BYTES || restedMs >= SYNC_MS;
    if (isDue && restedMs >= this.#syncTookMs * SYNC_REST) this.#startSync();
    const done = Buffer.alloc(16);
    done.writeBigUInt64LE(BigInt(sequence));
    done.writeDoubleLE(this.#appliedMs, 8);
    await this.#channel.send(MESSAGE.done, done);
  }

  /** Nothing is ever written under services that run, or may run. */
  #mustStandStill(): void {
    const { state } = this.#options.services.known;
    if (state === 'none' || state === 'stopped') return;
    throw new GodwitError('GW2405', `The services below ${this.#options.root} run, or may run`);
  }

  async #serve(request: Serve): Promise<void> {
    invariant(this.#place, 'Services were asked for before hello');
    // What they will read is what was proved, also if the machine goes down right after.
    if (request.want === 'running') await this.#sync();
    this.#applier?.close();
    await this.#options.services.serve(request);
    await this.#channel.send(MESSAGE.serve);
  }

  /** Whether a file is there, and the sums of ranges of it. */
  async #sums(from: Unpacker): Promise<void> {
    invariant(this.#place, 'Sums were asked for before hello');
    const [mapping, path, count] = [from.u16(), from.text(), from.u32()];
    invariant(path !== '' && isBelow(path), 'A path leads out of the root');
    const ranges: Range[] = [];
    while (ranges.length < count) ranges.push({ start: from.long(), end: from.long() });
    invariant(areFew(ranges), 'Sums of too much were asked for');
    const cut = path.lastIndexOf('/');
    const dir = unless(['ENOENT', 'ENOTDIR', 'ELOOP'], () =>
      this.#place?.openDirectory(mapping, path.slice(0, Math.max(0, cut))),
    );
    const sums =
      dir === undefined
        ? undefined
        : withFd(dir, () => {
            const fd = unless(['ENOENT', 'ELOOP', 'ENXIO'], () => openForReading(dir, path.slice(cut + 1)));
            if (fd === undefined) return undefined;
            return withFd(fd, () => (statFd(fd).kind === 'file' ? sumsOf(fd, ranges) : undefined));
          });
    await this.#channel.send(MESSAGE.sums, Buffer.from([sums === undefined ? 0 : 1]), sums ?? Buffer.alloc(0));
  }

  /** What stands at the new name by then goes; whatever cannot be done leaves everything as it was. */
  async #move(from: Unpacker): Promise<void> {
    const place = this.#place;
    invariant(place, 'A move was asked for before hello');
    this.#mustStandStill();
    const [old, next] = [this.#nameOf(from), this.#nameOf(from)];
    this.#applier?.close();
    let isMoved = true;
    try {
      withFd(place.openDirectory(old.mapping, old.directory), (oldFd) =>
        withFd(place.openDirectory(next.mapping, next.directory), (nextFd) => {
          const { kind, nlink } = statAt(oldFd, old.name);
          isMoved = kind === 'file' && nlink === 1;
          if (isMoved) renameAt(oldFd, old.name, nextFd, next.name);
        }),
      );
    } catch (error) {
      // Another file system, a name that is locked, or not there: the file is sent.
      if (errnoOf(error) === undefined) throw error;
      isMoved = false;
    }
    await this.#channel.send(MESSAGE.move, Buffer.from([isMoved ? 1 : 0]));
  }

  #nameOf(from: Unpacker): { readonly mapping: number; readonly directory: BytePath; readonly name: Name } {
    const [mapping, path] = [from.u16(), from.text()];
    invariant(path !== '' && isBelow(path), 'A path leads out of the root');
    const cut = path.lastIndexOf('/');
    return { mapping, directory: path.slice(0, Math.max(0, cut)), name: path.slice(cut + 1) };
  }

  #startSync(): void {
    const journal = this.#journal;
    if (this.#syncing !== undefined || journal === undefined) return;
    const sequence = journal.done;
    this.#sinceSync = 0;
    const beganAt = performance.now();
    this.#syncing = syncFileSystemAside(this.#rootFd)
      .then(() => journal.synced(sequence))
      .finally(() => {
        this.#syncing = undefined;
        this.#syncedAt = performance.now();
        this.#syncTookMs = this.#syncedAt - beganAt;
      });
    // Whoever waits for it learns of a failure; the next one is tried all the same.
    this.#syncing.catch(() => {});
  }

  async #sync(): Promise<void> {
    await this.#syncing;
    this.#startSync();
    await this.#syncing;
  }

  async #prove({ listing, fresh }: Proving): Promise<void> {
    const place = this.#place;
    invariant(place, 'A proof was asked for before hello');
    this.#options.onEvent({ kind: 'proving' });
    this.#applier?.close();
    const fds = this.#mappings.map((_, mapping) => place.openDirectory(mapping, ''));
    const memo = fresh ? undefined : new Memo(join(this.#options.stateDir, 'proof'));
    const totals: ListTotals = { entries: 0, bytes: 0, roots: [] };
    try {
      const options = {
        own: new Set<string>(),
        onRemark: (remark: Remark) => this.#options.onEvent({ kind: 'remark', remark }),
        memo,
      };
      await this.#list(listTrees(fds, options, totals), listing);
      memo?.keep();
    } catch (error) {
      memo?.drop();
      throw error;
    } finally {
      for (const fd of fds) closeSync(fd);
    }
    const listed: TargetListed = totals;
    await this.#channel.sendJson(MESSAGE.listed, listed);
  }

  async #list(listed: Iterable<Listed>, isSent: boolean): Promise<void> {
    const packer = new Packer(LISTING * 2);
    let turnAt = performance.now() + TURN_MS;
    for (const { mapping, path, line } of listed) {
      if (isSent) {
        packer.u16(mapping);
        packer.text(path);
        packer.text(line);
      }
      if (packer.length >= LISTING) {
        await this.#channel.send(MESSAGE.listing, packer.bytes);
        packer.clear();
      } else if (performance.now() >= turnAt) {
        // So that a signal, or a source that comes again, is heard.
        await turn();
        turnAt = performance.now() + TURN_MS;
      }
      throwIfAborted(this.#options.signal);
    }
    if (packer.length > 0) await this.#channel.send(MESSAGE.listing, packer.bytes);
  }

  async close(): Promise<void> {
    await this.#syncing?.catch(() => {});
    this.#applier?.close();
    this.#journal?.close();
    if (this.#rootFd >= 0) closeSync(this.#rootFd);
    this.#options.onEvent({ kind: 'ended', bundles: this.#bundles });
  }
}

function isSame(a: Pick<Hello, 'move' | 'mappings'>, b: Pick<Hello, 'move' | 'mappings'>): boolean {
  return a.move === b.move && JSON.stringify(a.mappings) === JSON.stringify(b.mappings);
}
