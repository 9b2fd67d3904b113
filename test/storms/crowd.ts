/** Who writes and reads in a storm: workers through the application, and somebody who does not know of the library. */
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { Checker, type Outcome } from './checker.ts';
import type { Application } from './children.ts';
import type { Operator } from './operator.ts';
import { type Look, type Op, textOf } from './person.ts';
import { Random } from './random.ts';

export const CUSTOMERS = 150;
/** Through the library nobody touches these. They are looked at when all is over: until then they may be behind. */
const RAW = 10;
/** Born past the library. */
const FIRST_RAW_BIRTH = 10_001;
const MOST_RAW_BIRTHS = 6;
/** Above this nobody writes before the backfill: those are its own. */
const BUSY = 100;
/** Read and written by everybody at once. */
const HOT = 8;
const FIRST_BIRTH = CUSTOMERS + 1;
const MOST_BIRTHS = 60;
const WORKERS = 4;
const RAW_PAUSE_MS = 200;

export interface Counts {
  writes: number;
  reads: number;
  /** Writes of which nobody knows what became of them. */
  unknown: number;
  /** Requests that failed, mostly because something had just been killed. */
  failed: number;
}

export interface CrowdOptions {
  readonly seed: number;
  readonly applications: readonly Application[];
  readonly operator: Operator;
  /** The longest pause between two requests of a worker. */
  readonly thinkMs: number;
  readonly note: (wrong: string) => void;
}

export class Crowd {
  readonly counts: Counts = { writes: 0, reads: 0, unknown: 0, failed: 0 };
  readonly #options: CrowdOptions;
  readonly #checker = new Checker();
  /** Of those who are written past the library. */
  readonly #raw = new Checker();
  readonly #rawDeleted = new Set<number>();
  readonly #running: Promise<void>[] = [];
  #rawRunning: Promise<void> = Promise.resolve();
  #isOver = false;
  #isRawOver = false;
  #mayTouchAll = false;
  #nextBirth = FIRST_BIRTH;
  #nextRawBirth = FIRST_RAW_BIRTH;

  constructor(options: CrowdOptions, atFirst: ReadonlyMap<number, Look>) {
    this.#options = options;
    for (const [id, look] of atFirst) (id <= RAW ? this.#raw : this.#checker).know(id, look);
  }

  start(): void {
    for (let worker = 0; worker < WORKERS; worker += 1) this.#running.push(this.#work(worker));
    this.#rawRunning = this.#workPast();
  }

  /** From now on those are written, too, that nobody wrote before the backfill. */
  touchAll(): void {
    this.#mayTouchAll = true;
  }

  /** Resolves when what is under way has ended. */
  async stopPast(): Promise<void> {
    this.#isRawOver = true;
    await this.#rawRunning;
  }

  async stop(): Promise<void> {
    this.#isOver = true;
    await Promise.all([...this.#running, this.stopPast()]);
  }

  /** What is wrong with everything as it is when nobody writes any more. */
  judge(seen: ReadonlyMap<number, Look>): readonly string[] {
    const isRaw = (id: number) => id <= RAW || id >= FIRST_RAW_BIRTH;
    const part = (raw: boolean) => new Map([...seen].filter(([id]) => isRaw(id) === raw));
    return [
      ...this.#checker.whole(part(false)),
      ...this.#raw.whole(part(true)).map((what) => `past the library: ${what}`),
    ];
  }

  async #work(worker: number): Promise<void> {
    const { seed, applications, thinkMs } = this.#options;
    const random = new Random(seed * 100 + worker);
    const application = applications[worker % applications.length] as Application;
    while (!this.#isOver) {
      if (random.chance(0.55)) await this.#read(random, application);
      else await this.#write(random, application);
      await sleep(random.between(0, thinkMs));
    }
  }

  #pick(random: Random, isWrite: boolean): number {
    if (random.chance(0.25)) return RAW + 1 + random.below(HOT);
    const id = random.pick(this.#checker.identities);
    const isQuiet = id > BUSY && id <= CUSTOMERS && !this.#mayTouchAll;
    return isWrite && isQuiet ? RAW + 1 + random.below(BUSY - RAW) : id;
  }

  async #read(random: Random, application: Application): Promise<void> {
    const id = this.#pick(random, false);
    const since = this.#checker.beginRead(id);
    const answer = await application.ask({ kind: 'read', id });
    if (answer?.kind !== 'read') {
      this.counts.failed += 1;
      return;
    }
    this.counts.reads += 1;
    const verdict = this.#checker.judge(id, since, answer.look);
    if (verdict !== 'right')
      this.#options.note(
        `${verdict} read of ${id} from ${answer.from}: ${textOf(answer.look)}; last were ${this.#checker.told(id)}`,
      );
  }

  async #write(random: Random, application: Application): Promise<void> {
    const parts: { id: number; op: Op }[] = [];
    for (let n = random.chance(0.15) ? 2 : 1; n > 0; n -= 1) {
      const isBirth = this.#nextBirth < FIRST_BIRTH + MOST_BIRTHS && random.chance(0.05);
      const id = isBirth ? this.#birth() : this.#pick(random, true);
      if (!this.#checker.isFree(id) || parts.some((part) => part.id === id)) continue;
      parts.push({ id, op: someOp(random, this.#checker.guess(id)) });
    }
    if (parts.length === 0) return;
    for (const { id, op } of parts) this.#checker.begin(id, op);
    const abort = random.chance(0.05);
    const answer = await application.ask({ kind: 'write', parts, abort });
    let outcome: Outcome = answer?.kind === 'write' ? answer.outcome : 'unknown';
    // One of two that is refused takes the other with it: nobody can say which it was.
    if (parts.length > 1 && outcome === 'refused') outcome = 'failed';
    this.#count(outcome);
    for (const { id, op } of parts)
      if (!this.#checker.end(id, op, outcome))
        this.#options.note(`${outcome}: ${JSON.stringify(op)} of ${id} cannot be; last were ${this.#checker.told(id)}`);
  }

  #count(outcome: Outcome): void {
    if (outcome === 'done') this.counts.writes += 1;
    else if (outcome === 'unknown') this.counts.unknown += 1;
    else if (outcome === 'failed') this.counts.failed += 1;
  }

  #birth(): number {
    const id = this.#nextBirth;
    this.#nextBirth += 1;
    this.#checker.know(id, undefined);
    return id;
  }

  async #workPast(): Promise<void> {
    const random = new Random(this.#options.seed * 100 + 99);
    while (!this.#isOver && !this.#isRawOver) {
      await this.#writePast(random);
      await sleep(random.between(0, 2 * RAW_PAUSE_MS));
    }
  }

  async #writePast(random: Random): Promise<void> {
    const isBirth = this.#nextRawBirth < FIRST_RAW_BIRTH + MOST_RAW_BIRTHS && random.chance(0.2);
    if (isBirth) this.#raw.know(this.#nextRawBirth, undefined);
    const id = isBirth ? this.#nextRawBirth++ : random.pick(this.#raw.identities);
    // To somebody past the library a deleted row may be there for a moment longer: it is left alone.
    if (!isBirth && (!this.#raw.guess(id) || this.#rawDeleted.has(id))) return;
    const op = pastOp(random, isBirth);
    if (op.kind === 'delete') this.#rawDeleted.add(id);
    this.#raw.begin(id, op);
    const outcome = await this.#tryPast(id, op);
    if (!this.#raw.end(id, op, outcome))
      this.#options.note(`past the library: ${JSON.stringify(op)} of ${id} cannot be`);
  }

  async #tryPast(id: number, op: PastOp): Promise<Outcome> {
    const { operator } = this.#options;
    try {
      if (op.kind === 'create')
        await operator.query('insert into customers (customer_id, email) values ($1, $2)', [id, op.email]);
      else if (op.kind === 'email')
        await operator.query('update customers set email = $2 where customer_id = $1', [id, op.email]);
      else await operator.query('delete from customers where customer_id = $1', [id]);
      return 'done';
    } catch {
      return 'unknown';
    }
  }
}

type PastOp = Extract<Op, { kind: 'create' | 'email' | 'delete' }>;

function pastOp(random: Random, isBirth: boolean): PastOp {
  const email = `raw${random.below(1_000_000)}`;
  if (isBirth) return { kind: 'create', email };
  return random.chance(0.05) ? { kind: 'delete' } : { kind: 'email', email };
}

function someOp(random: Random, look: Look): Op {
  const email = `mail${random.below(1_000_000)}`;
  if (!look) return random.chance(0.9) ? { kind: 'create', email } : { kind: 'email', email };
  const ids = Object.keys(look.subs);
  const plan = `plan${random.below(1000)}`;
  const kind = random.pick(['email', 'email', 'legacy', 'insert', 'insert', 'update', 'remove', 'delete'] as const);
  if (kind === 'insert' && ids.length < 3) return { kind, id: randomUUID(), plan };
  if (kind === 'update' && ids.length > 0) return { kind, id: random.pick(ids), plan };
  if (kind === 'remove' && ids.length > 0) return { kind, id: random.pick(ids) };
  if (kind === 'delete' && random.chance(0.3)) return { kind };
  return { kind: kind === 'legacy' ? 'legacy' : 'email', email };
}
