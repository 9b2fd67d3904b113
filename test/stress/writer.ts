/** One connection of an application under load: transactions of many writes through the library, one after the other. */
import { createHash } from 'node:crypto';
import type { Draft } from '../../src/remodel.ts';
import type { subs } from '../e2e/remodel/subscriptions.fixture.ts';
import { Random } from '../storms/random.ts';
import { firstEmailOf, firstPlanOf } from './customers.ts';

/** How a customer looks, as its writer left it. */
export interface Belief {
  readonly email: string;
  /** The plan it began with, if its row is still there. */
  readonly first: string | undefined;
  /** Plans by id of what this writer added. */
  readonly added: Readonly<Record<string, string>>;
}

type Step = (m: Draft<typeof subs>) => Promise<Belief | undefined>;

/** Runs writes, each of one customer, in one transaction, and commits. */
export type Transact = (
  writes: readonly { readonly id: number; readonly work: Step }[],
) => Promise<(Belief | undefined)[]>;

export interface WriterOptions {
  readonly seed: number;
  /** Of the first table. */
  readonly customers: number;
  readonly own: readonly number[];
  readonly shared: readonly number[];
  readonly hot: readonly number[];
  /** Numbers of customers that this writer alone makes. */
  readonly fresh: (n: number) => number;
  /** Writes of a transaction, on average. */
  readonly batch: number;
  readonly transact: Transact;
}

/** So many customers a writer makes; afterwards it makes those again that it has deleted. */
const MOST_FRESH = 100;
const MOST_ADDED = 2;
const SLOTS = 2;

export class Writer {
  writes = 0;
  transactions = 0;
  readonly #options: WriterOptions;
  readonly #random: Random;
  /** Of those it has written. */
  readonly #beliefs = new Map<number, Belief | undefined>();
  #made = 0;

  constructor(options: WriterOptions) {
    this.#options = options;
    this.#random = new Random(options.seed);
  }

  get beliefs(): readonly (readonly [number, Belief | undefined])[] {
    return [...this.#beliefs];
  }

  /** One transaction. Counts, and believes, only what was acknowledged. */
  async once(): Promise<void> {
    const { batch, transact } = this.#options;
    const size = 1 + this.#random.below(2 * batch - 1);
    const ids = new Set<number>();
    for (let i = 0; i < size; i += 1) ids.add(this.#someone());
    // In one order, so that transactions wait for each other and never in a circle.
    const writes = [...ids].sort((a, b) => a - b).map((id) => ({ id, ...this.#write(id) }));
    const looks = await transact(writes);
    this.transactions += 1;
    this.writes += writes.length;
    for (const [i, { id, isOwn }] of writes.entries()) if (isOwn) this.#beliefs.set(id, looks[i]);
  }

  #someone(): number {
    const { own, shared, hot, fresh } = this.#options;
    const luck = this.#random.next();
    if (luck < 0.03) return this.#random.pick(hot);
    if (luck < 0.13) return this.#random.pick(shared);
    if (luck < 0.15) {
      if (this.#made < MOST_FRESH) this.#made += 1;
      return fresh(this.#random.below(this.#made));
    }
    return this.#random.pick(own);
  }

  #write(id: number): { readonly isOwn: boolean; readonly work: Step } {
    const { customers, hot, shared } = this.#options;
    // Both are in the order of the numbers, and short.
    const isOwn = id > customers || !(has(hot, id) || has(shared, id));
    return { isOwn, work: isOwn ? this.#known(id) : this.#blind(id) };
  }

  /** A write that is right however the customer looks now. */
  #blind(id: number): Step {
    const random = this.#random;
    const luck = random.next();
    const text = `b${random.below(1_000_000)}`;
    const sub = idOf(`${id}/${random.below(SLOTS)}`);
    return async (m) => {
      if (luck < 0.7) await m.customer.set({ email: text });
      else if (luck < 0.85) await m.subscription.insert({ id: sub, plan: text, amount: '3.10', started: STARTED });
      else await m.subscription.delete(sub);
      return undefined;
    };
  }

  #known(id: number): Step {
    const { customers } = this.#options;
    const random = this.#random;
    const before = this.#beliefs.has(id)
      ? this.#beliefs.get(id)
      : id > customers
        ? undefined
        : { email: firstEmailOf(id), first: firstPlanOf(id), added: {} };
    const text = `w${random.below(1_000_000)}`;
    if (before === undefined)
      return async (m) => {
        await m.create({ email: text });
        return { email: text, first: undefined, added: {} };
      };
    const added = Object.keys(before.added);
    const luck = random.next();
    if (luck < 0.03)
      return async (m) => {
        await m.delete();
        return undefined;
      };
    if (luck < 0.23 && added.length < MOST_ADDED)
      return async (m) => {
        const { id: sub } = await m.subscription.insert({ plan: text, amount: '1.50', started: STARTED });
        return { ...before, added: { ...before.added, [sub]: text } };
      };
    const one = added.length === 0 ? undefined : random.pick(added);
    if (one !== undefined && luck < 0.33)
      return async (m) => {
        await m.subscription.update(one, { plan: text });
        return { ...before, added: { ...before.added, [one]: text } };
      };
    if (one !== undefined && luck < 0.5)
      return async (m) => {
        await m.subscription.delete(one);
        const { [one]: _, ...rest } = before.added;
        return { ...before, added: rest };
      };
    return async (m) => {
      await m.customer.set({ email: text });
      return { ...before, email: text };
    };
  }
}

/** Later than any that the table began with. */
const STARTED = '2026-06-01T00:00:00Z';

/** A UUID of a text, so that all writers of a customer mean the same row. */
function idOf(text: string): string {
  const hex = createHash('sha256').update(text).digest('hex');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
}

function has(sorted: readonly number[], id: number): boolean {
  let [low, high] = [0, sorted.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((sorted[middle] as number) < id) low = middle + 1;
    else high = middle;
  }
  return sorted[low] === id;
}
