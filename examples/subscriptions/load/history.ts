/**
 * What each customer must look like. A customer has one write under way at most;
 * reads come at any time, through any process. A read must show a version that
 * is not older than what was acknowledged, or seen by a read that ended, before
 * it began, and not newer than what was asked for before it ended.
 */
export interface Held {
  readonly plan: string;
  readonly amount: number;
  /** ISO 8601 with milliseconds. */
  readonly started: string;
}

export interface Person {
  readonly email: string;
  readonly name: string;
  readonly subscriptions: readonly Held[];
}

/** Undefined: there is no such customer. */
export type Look = Person | undefined;

/** - `stale`: it was so once, and must not be seen any more. - `wrong`: it never was. */
export type Judgement = 'right' | 'stale' | 'wrong';

interface Life {
  readonly looks: Look[];
  /** The same as text, to be compared. */
  readonly texts: string[];
  /** Nothing older may be seen. */
  floor: number;
  isWriting: boolean;
  /** A write failed, so that nobody can say whether it was done: left in peace from now on. */
  isDoubtful: boolean;
}

export interface Reading {
  readonly id: string;
  readonly floor: number;
}

/** What is wrong with a whole state. */
export interface Differences {
  missing: number;
  extra: number;
  mismatched: number;
  /** The first of them, in words. */
  readonly examples: string[];
}

const EXAMPLES = 5;

export class History {
  readonly #lives = new Map<string, Life>();
  readonly #living: string[] = [];
  readonly #places = new Map<string, number>();

  /** A customer who is there from the beginning. */
  know(id: string, look: Person): void {
    if (this.#lives.has(id)) throw new Error(`customer ${id} is known already`);
    this.#lives.set(id, { looks: [look], texts: [textOf(look)], floor: 0, isWriting: false, isDoubtful: false });
    this.#places.set(id, this.#living.length);
    this.#living.push(id);
  }

  /** Numbers of the customers who are there, in no order. */
  get living(): readonly string[] {
    return this.#living;
  }

  /** How a customer looks now; undefined also while a write is under way, when nobody can say. */
  settled(id: string): Look {
    const life = this.#lifeOf(id);
    return life.isWriting || life.isDoubtful ? undefined : life.looks.at(-1);
  }

  beginWrite(id: string, look: Look): void {
    const life = this.#lifeOf(id);
    if (life.isWriting || life.isDoubtful) throw new Error(`customer ${id} has a write under way`);
    life.isWriting = true;
    life.looks.push(look);
    life.texts.push(textOf(look));
    if (look === undefined) this.#bury(id);
  }

  endWrite(id: string, outcome: 'acknowledged' | 'unknown'): void {
    const life = this.#lifeOf(id);
    life.isWriting = false;
    if (outcome === 'acknowledged') life.floor = life.texts.length - 1;
    else life.isDoubtful = true;
  }

  beginRead(id: string): Reading {
    return { id, floor: this.#lifeOf(id).floor };
  }

  endRead({ id, floor }: Reading, seen: Look): Judgement {
    const life = this.#lifeOf(id);
    const text = textOf(seen);
    const version = life.texts.indexOf(text, floor);
    if (version >= 0) {
      // From here on nobody may see an older one: time does not go back for anyone.
      life.floor = Math.max(life.floor, version);
      return 'right';
    }
    return life.texts.includes(text) ? 'stale' : 'wrong';
  }

  /** How everything stood when a reading of the whole state began. */
  beginWhole(): ReadonlyMap<string, number> {
    return new Map([...this.#lives].map(([id, { floor }]) => [id, floor]));
  }

  /** Judges a whole state, read in one moment between `beginWhole` and now. All that were made by then must be known. */
  endWhole(floors: ReadonlyMap<string, number>, seen: ReadonlyMap<string, Person>): Differences {
    const found: Differences = { missing: 0, extra: 0, mismatched: 0, examples: [] };
    const note = (kind: 'missing' | 'extra' | 'mismatched', id: string) => {
      found[kind] += 1;
      if (found.examples.length < EXAMPLES) found.examples.push(`${kind}: customer ${id}`);
    };
    for (const [id, floor] of floors) {
      const life = this.#lifeOf(id);
      const look = seen.get(id);
      if (life.texts.includes(textOf(look), floor)) continue;
      if (look === undefined) note('missing', id);
      else note(life.texts.slice(floor).some((text) => text !== GONE) ? 'mismatched' : 'extra', id);
    }
    for (const id of seen.keys()) if (!this.#lives.has(id)) note('extra', id);
    return found;
  }

  #lifeOf(id: string): Life {
    const life = this.#lives.get(id);
    if (!life) throw new Error(`customer ${id} is not known`);
    return life;
  }

  /** Takes a customer out of the living: the last one takes their place. */
  #bury(id: string): void {
    const place = this.#places.get(id) as number;
    const last = this.#living.pop() as string;
    this.#places.delete(id);
    if (last === id) return;
    this.#living[place] = last;
    this.#places.set(last, place);
  }
}

const GONE = '-';

/** What has not the shape of a customer equals nothing. */
function textOf(look: Look): string {
  if (look === undefined) return GONE;
  if (!Array.isArray(look.subscriptions)) return 'no customer';
  const held = look.subscriptions
    .map(({ plan, amount, started }) => JSON.stringify([plan, amount, Date.parse(started)]))
    .toSorted();
  return JSON.stringify([look.email, look.name, held]);
}
