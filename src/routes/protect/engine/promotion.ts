/**
 * The DR takes over: with the vote of the auxiliary it fences the primary, and makes sure that
 * what it lacks is held there. It ends as the one that leads, or not at all; the bring-up
 * (`bring-up.ts`) then fetches and executes.
 */
import { GodwitError } from '../../../kernel/errors.ts';
import type { Role } from '../../../kernel/protect/ports.ts';
import type { Dr, Suspended } from './dr.ts';
import { type Manifest, manifestOf } from './manifest.ts';
import type { Mark, Message, MessageOf, Standing } from './messages.ts';
import { type Point, pointAfter } from './ring.ts';
import { nextEpoch, ownerOf } from './voter.ts';

export interface PromotionOptions {
  /** Without the auxiliary's vote: both others are gone, and somebody answers for it. */
  readonly force: boolean;
  readonly retryMs: number;
}

export interface Promoted {
  readonly epoch: number;
  /** The image is the volume as of here. */
  readonly last: Point;
  /** Sent by the primary and not arrived: the document's target operations. */
  readonly targets: number;
  /** Still queued at the primary. */
  readonly queued: number;
  readonly manifest: Manifest;
  /** By force, although operations were missed: the image is no state that the volume ever had. */
  readonly stale: boolean;
}

/** In this order. Before `activating` the primary may yet lead again; after it, never. */
type Step = 'asking' | 'promising' | 'fetching' | 'activating' | 'activated' | 'ended';

const ONLY = 256;

export class Promotion {
  readonly #dr: Dr;
  readonly #options: PromotionOptions;
  readonly #done: (outcome: Promoted | GodwitError) => void;
  #step: Step = 'asking';
  #epoch = 0;
  #auxiliary: Standing | undefined;
  /** What the auxiliary has not, as it said. */
  #without = new Set<number>();
  #copied = new Set<number>();
  #asked = new Set<number>();
  #beyond: number | undefined;
  /** What the auxiliary holds, and which of it the primary had sent: its state table. */
  #table: MessageOf<'table'> | undefined;
  #manifest: Manifest = { lost: [], knownUpTo: 0, settled: 0, complete: true };
  #last = 0;
  #stale = false;

  constructor(dr: Dr, options: PromotionOptions, done: (outcome: Promoted | GodwitError) => void) {
    this.#dr = dr;
    this.#options = options;
    this.#done = done;
  }

  start(): void {
    const { voter } = this.#dr;
    const { takenOver } = this.#dr;
    if (takenOver !== undefined) {
      // It had taken over when it ended, and perhaps nobody was told.
      const { end: last, asked, ...rest } = takenOver;
      const manifest = manifestOf(this.#dr.lost, { settled: last.sequence, asked });
      this.#end({ epoch: voter.activated, last, ...rest, manifest });
      return;
    }
    if (this.#dr.isIncomplete) {
      this.#end(new GodwitError('GW7032', 'This DR is new, and does not have the volume yet'));
      return;
    }
    if (voter.isLeased && ownerOf(voter.promised) === 'primary' && !this.#options.force) {
      this.#end(new GodwitError('GW7012', 'The primary has renewed its lease a moment ago'));
      return;
    }
    this.#epoch = nextEpoch('dr', voter.promised);
    this.#dr.takeOver({
      receive: (from, message) => this.#receive(from, message),
      progress: () => this.#advance(),
    });
    if (this.#options.force) this.#promise();
    else this.#ask();
    this.#tick();
  }

  /** Ends it while nothing is decided: the primary may be alive. False when it is too late for that. */
  giveUp(): boolean {
    if (this.#step === 'activating' || this.#step === 'activated' || this.#step === 'ended') return false;
    this.#end(new GodwitError('GW7012', 'The auxiliary does not vote for a promotion'));
    return true;
  }

  /** Everything is repeated until it is answered. */
  #tick(): void {
    this.#dr.parts.ticker.after(this.#options.retryMs, () => {
      if (this.#step === 'ended') return;
      if (this.#step === 'asking') this.#ask();
      this.#advance();
      if (this.#step === 'fetching') this.#fetch();
      if (this.#step === 'activating') this.#send({ type: 'activate', epoch: this.#epoch });
      this.#tick();
    });
  }

  #send(message: Message): void {
    this.#dr.parts.link.send('auxiliary', message);
  }

  #ask(): void {
    this.#send({ type: 'prepare', epoch: this.#epoch, owner: 'dr' });
  }

  #receive(from: Role, message: Message): void {
    if (message.type === 'fenced' && message.epoch === this.#epoch) {
      this.#again(message.promised);
      return;
    }
    if (from !== 'auxiliary' || message.epoch !== this.#epoch) {
      if (from === 'primary' && message.epoch < this.#dr.voter.promised) {
        const { promised, activated } = this.#dr.voter;
        this.#dr.parts.link.send(from, { type: 'fenced', epoch: message.epoch, promised, activated });
      }
      return;
    }
    if (message.type === 'promise' && this.#step === 'asking') this.#answered(message);
    if (message.type === 'blocks' && this.#step === 'fetching') this.#blocks(message);
    if (message.type === 'table' && this.#step === 'fetching') {
      this.#table = message;
      this.#advance();
      if (this.#step === 'fetching') this.#fetch();
    }
    if (message.type === 'activated' && this.#step === 'activating') this.#activate();
  }

  #answered(message: MessageOf<'promise'>): void {
    if (!message.granted) {
      if (message.promised >= this.#epoch) this.#again(message.promised);
      else if (message.standing.stale) {
        this.#end(new GodwitError('GW7032', 'The auxiliary is new, and does not hold what the DR may lack'));
      }
      return;
    }
    this.#auxiliary = message.standing;
    this.#promise();
  }

  /** Somebody was promised more: ask again, above it. */
  #again(above: number): void {
    if (this.#step === 'activated' || this.#step === 'ended') return;
    this.#epoch = nextEpoch('dr', Math.max(above, this.#dr.voter.promised, this.#epoch));
    this.#step = 'asking';
  }

  /** The DR's own vote; from here on nothing of the primary is taken. */
  #promise(): void {
    this.#step = 'promising';
    const epoch = this.#epoch;
    this.#dr.voter.promise(epoch, () => {
      if (this.#step !== 'promising' || this.#epoch !== epoch) return;
      this.#step = 'fetching';
      this.#without = new Set();
      this.#asked = new Set();
      this.#copied = new Set();
      this.#beyond = undefined;
      this.#table = undefined;
      const { lastEpoch, last } = this.#dr.standing;
      const auxiliary = this.#auxiliary;
      if (auxiliary !== undefined && auxiliary.lastEpoch > lastEpoch) {
        this.#beyond = this.#dr.history.base.sequence + 1;
      } else if (
        auxiliary !== undefined &&
        auxiliary.lastEpoch === lastEpoch &&
        auxiliary.last.sequence > last.sequence
      ) {
        this.#beyond = last.sequence + 1;
      }
      this.#advance();
      if (this.#step === 'fetching') this.#fetch();
    });
  }

  /** Whether the auxiliary holds the data of an operation that is in the order here. */
  #holds(sequence: number): boolean {
    return this.#isAlike && sequence > this.#table!.base.sequence && sequence <= this.#table!.last.sequence;
  }

  /** Whether its order is a part of this one: then its table says all there is to know. */
  get #isAlike(): boolean {
    return this.#table !== undefined && this.#dr.history.holds(this.#table.last.sequence, this.#table.last.crc);
  }

  /** Entries whose data is neither here nor known to be nowhere. */
  #lacking(): Mark[] {
    const lacking: Mark[] = [];
    for (const { record, stored } of this.#dr.history.from(this.#dr.history.base.sequence + 1)) {
      const { sequence, crc } = record;
      if (!stored && !this.#without.has(sequence)) lacking.push({ sequence, crc });
      if (lacking.length === ONLY) break;
    }
    return lacking;
  }

  #fetch(): void {
    if (this.#beyond !== undefined) {
      this.#send({ type: 'fetch', epoch: this.#epoch, from: this.#beyond });
      return;
    }
    if (this.#auxiliary === undefined || !this.#dr.isIdle) return;
    if (this.#table === undefined) {
      this.#send({ type: 'ask-table', epoch: this.#epoch });
      return;
    }
    if (this.#isAlike) return;
    const only = this.#lacking();
    if (only.length > 0) {
      for (const { sequence } of only) this.#asked.add(sequence);
      this.#send({ type: 'fetch', epoch: this.#epoch, from: 0, only });
    }
  }

  #blocks({ from, blocks, copied, lacks }: MessageOf<'blocks'>): void {
    for (const sequence of copied) this.#copied.add(sequence);
    for (const sequence of this.#dr.adopt(blocks)) this.#without.add(sequence);
    for (const sequence of lacks ?? []) this.#without.add(sequence);
    if (lacks === undefined && from === this.#beyond) {
      const next = from + blocks.length;
      // Nothing more comes: what the auxiliary holds was all taken.
      this.#beyond = blocks.length === 0 || next > this.#dr.history.last.sequence + 1 ? undefined : next;
      if (this.#beyond !== undefined) this.#fetch();
    }
    this.#advance();
  }

  #advance(): void {
    if (this.#step === 'fetching' && this.#haveAll()) this.#decide();
  }

  /** Everything is here, or it is known where it is. */
  #haveAll(): boolean {
    if (this.#beyond !== undefined || !this.#dr.isIdle) return false;
    if (this.#auxiliary !== undefined && this.#table === undefined) return false;
    const isKnown = this.#auxiliary === undefined || this.#isAlike;
    for (const { record, ordered, stored } of this.#dr.history.from(this.#dr.history.base.sequence + 1)) {
      if (!ordered) return false;
      if (!stored && !isKnown && !this.#without.has(record.sequence)) return false;
    }
    return true;
  }

  /** The longest beginning of which everything is here or at the auxiliary is the volume; the rest is lost, and named. */
  #decide(): void {
    const { history } = this.#dr;
    let last = history.base.sequence;
    for (const { record, stored } of history.from(last + 1)) {
      if (!stored && !this.#holds(record.sequence)) break;
      last = record.sequence;
    }
    this.#last = last;
    // The auxiliary let go of what is lacking here: the primary went on without this DR, and remembered bits alone.
    const missed = (this.#auxiliary?.base.sequence ?? 0) > last;
    this.#stale = this.#dr.staleAfter(last) > 0;
    if ((missed || this.#stale) && !this.#options.force) {
      this.#end(new GodwitError('GW7013', 'The DR has missed operations that nobody else holds'));
      return;
    }
    this.#manifest = manifestOf([...history.from(last + 1)], {
      settled: this.#dr.settled,
      asked: this.#auxiliary !== undefined,
    });
    this.#step = 'activating';
    if (this.#options.force) this.#activate();
    else this.#send({ type: 'activate', epoch: this.#epoch });
  }

  /** From here on the primary never leads again, and what it might have taken back may be executed. */
  #activate(): void {
    const { history, state, parts } = this.#dr;
    this.#step = 'activated';
    const end =
      this.#last === history.base.sequence ? history.base : pointAfter((history.at(this.#last) as Suspended).record);
    const taken = { end, asked: this.#auxiliary !== undefined, ...this.#counts(), stale: this.#stale };
    state.save({ activated: this.#epoch, takenOver: taken }, (error) => {
      if (error) return parts.failed(error);
      history.cut(this.#last + 1);
      this.#dr.settle(history.last);
      const { end: last, asked, ...rest } = taken;
      this.#end({ epoch: this.#epoch, last, ...rest, manifest: this.#manifest });
    });
  }

  /** What the DR lacked, by the primary's state value of it. */
  #counts(): { readonly targets: number; readonly queued: number } {
    let [targets, queued] = [0, 0];
    for (const { record, stored } of this.#dr.history.from(this.#dr.history.base.sequence + 1)) {
      const { sequence } = record;
      if (stored && !this.#asked.has(sequence)) continue;
      const isCopied =
        this.#copied.has(sequence) || this.#table?.copied.some(([a, b]) => sequence >= a && sequence <= b);
      if (isCopied) targets += 1;
      else queued += 1;
    }
    return { targets, queued };
  }

  #end(outcome: Promoted | GodwitError): void {
    this.#step = 'ended';
    if (outcome instanceof GodwitError) this.#dr.takeOver(undefined);
    this.#done(outcome);
  }
}
