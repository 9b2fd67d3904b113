import { apply, type Look, type Op, textOf } from './person.ts';

/** Everything a customer may look like at one time, by text. */
type Looks = ReadonlyMap<string, Look>;

/** Each write of which nobody knows what became of it may double them. */
const MOST_LOOKS = 32;

interface Life {
  /** One after the other: what may be seen since. */
  readonly times: Looks[];
  isWriting: boolean;
}

export type Outcome = 'done' | 'refused' | 'failed' | 'unknown';

/** - `stale`: so it was once. - `wrong`: it never was. */
export type Verdict = 'right' | 'stale' | 'wrong';

/**
 * What each customer may look like, from what was asked and what was answered.
 * A customer has one write under way at most. A write whose process or
 * database died in the middle may have happened or not: both are right.
 */
export class Checker {
  readonly #lives = new Map<number, Life>();

  know(id: number, look: Look): void {
    this.#lives.set(id, { times: [looksOf([look])], isWriting: false });
  }

  get identities(): readonly number[] {
    return [...this.#lives.keys()];
  }

  /** Whether a write may begin: none is under way, and few enough are in doubt. */
  isFree(id: number): boolean {
    return !this.#of(id).isWriting && this.#now(id).size <= MOST_LOOKS;
  }

  /** One of the ways it may look now. */
  guess(id: number): Look {
    return [...this.#now(id).values()][0];
  }

  begin(id: number, op: Op): void {
    const life = this.#of(id);
    if (life.isWriting) throw new Error(`${id} has a write under way`);
    life.isWriting = true;
    life.times.push(looksOf([...this.#now(id).values(), ...after(this.#now(id), op)]));
  }

  /** Gives false when the answer cannot be. */
  end(id: number, op: Op, outcome: Outcome): boolean {
    const life = this.#of(id);
    life.isWriting = false;
    const before = life.times.at(-2) as Looks;
    const changed = after(before, op);
    const kept = [...before.values()].filter((look) => outcome !== 'refused' || apply(look, op) === 'refused');
    const looks = outcome === 'done' ? changed : outcome === 'unknown' ? [...kept, ...changed] : kept;
    life.times.push(looksOf(looks));
    return looks.length > 0;
  }

  /** To be given to `judge` when the read has ended. */
  beginRead(id: number): number {
    return this.#of(id).times.length - 1;
  }

  judge(id: number, since: number, look: Look): Verdict {
    const { times } = this.#of(id);
    const text = textOf(look);
    if (times.slice(since).some((looks) => looks.has(text))) return 'right';
    return times.some((looks) => looks.has(text)) ? 'stale' : 'wrong';
  }

  /** The last looks of a customer, newest last, for people. */
  told(id: number): string {
    return this.#of(id)
      .times.slice(-6)
      .map((looks) => [...looks.keys()].join(' or '))
      .join(' → ');
  }

  /** What is wrong with a whole state, read when nothing was under way. */
  whole(seen: ReadonlyMap<number, Look>): string[] {
    const found: string[] = [];
    for (const id of new Set([...this.#lives.keys(), ...seen.keys()])) {
      const look = seen.get(id);
      if (!this.#lives.has(id)) found.push(`${id} was never made: ${textOf(look)}`);
      else if (!this.#now(id).has(textOf(look)))
        found.push(`${id} is ${textOf(look)}, not ${[...this.#now(id).keys()].join(' or ')}`);
    }
    return found;
  }

  #of(id: number): Life {
    const life = this.#lives.get(id);
    if (!life) throw new Error(`${id} is not known`);
    return life;
  }

  #now(id: number): Looks {
    return this.#of(id).times.at(-1) as Looks;
  }
}

function looksOf(looks: readonly Look[]): Looks {
  return new Map(looks.map((look) => [textOf(look), look]));
}

function after(looks: Looks, op: Op): Look[] {
  return [...looks.values()].map((look) => apply(look, op)).filter((look) => look !== 'refused');
}
