/** Values whose texts differ are not always different: the database, which stored one of them, decides. */
import type pg from 'pg';
import type { Mismatch, Row } from '../../../kernel/remodel/index.ts';
import { sqlStateOf, translate } from '../errors.ts';
import type { Fields } from './snapshot-rows.ts';
import type { SqlColumn, SqlTable } from './tables.ts';
import { readExpression, toText, writeExpression } from './values.ts';
import { readForm } from './verify-state.ts';

interface Suspect {
  readonly identity: string;
  /** Indexes of columns that look different; those proven to be equal are taken out. */
  readonly columns: Set<number>;
}

interface Pair {
  readonly suspect: Suspect;
  readonly stored: string;
  readonly made: string;
}

/** So many texts are decided at once. */
const MOST_PAIRS = 1_000;

/**
 * Compares old rows with what `down` makes. Equal texts are equal values. Where
 * texts differ, the database reads the one that `down` made as the relay would
 * write it into the old column (its scale, precision, blanks and form of
 * JSON) and compares: by value for numbers and JSON, by text for all others.
 */
export class OldRows {
  readonly #old: SqlTable;
  readonly #judge: pg.Client;
  readonly #report: (mismatch: Mismatch) => void;
  #pairs = new Map<number, Pair[]>();
  #suspects: Suspect[] = [];
  #count = 0;

  /** `old`: with exact types (see `withExactTypes`). `judge`: a connection outside of any transaction. */
  constructor(old: SqlTable, judge: pg.Client, report: (mismatch: Mismatch) => void) {
    this.#old = old;
    this.#judge = judge;
    this.#report = report;
  }

  /** Whether `settle` should be called before more is compared. */
  get isFull(): boolean {
    return this.#count >= MOST_PAIRS;
  }

  compare(identity: string, stored: Fields, made: Row): void {
    let suspect: Suspect | undefined;
    const { columns } = this.#old;
    for (let i = 0; i < columns.length; i += 1) {
      const { property, type, sqlType } = columns[i] as SqlColumn;
      const text = stored[i + 1] as string | null;
      const value = made[property];
      if (text === readForm(value, type)) continue;
      suspect ??= { identity, columns: new Set() };
      suspect.columns.add(i);
      if (text === null || value === null || value === undefined) continue;
      const pairs = this.#pairs.get(i) ?? [];
      this.#pairs.set(i, pairs);
      pairs.push({ suspect, stored: text, made: toText(value, type, sqlType) as string });
      this.#count += 1;
    }
    if (suspect === undefined) return;
    this.#suspects.push(suspect);
    this.#count += 1;
  }

  /** Decides what is still open. */
  async settle(): Promise<void> {
    for (const [index, pairs] of this.#pairs) {
      for (const { suspect } of await this.#equal(this.#old.columns[index] as SqlColumn, pairs))
        suspect.columns.delete(index);
    }
    for (const { identity, columns } of this.#suspects) {
      if (columns.size === 0) continue;
      const names = [...columns].map((i) => (this.#old.columns[i] as SqlColumn).property);
      this.#report({ identity, kind: 'different', columns: names });
    }
    this.#pairs = new Map();
    this.#suspects = [];
    this.#count = 0;
  }

  /** Those whose values are the same. A text that the column's type does not take is not. */
  async #equal(column: SqlColumn, pairs: readonly Pair[]): Promise<readonly Pair[]> {
    try {
      const { rows } = await this.#judge.query<{ same: boolean | null }>(
        `select ${sameExpression(column)} as same
           from unnest($1::text[], $2::text[]) with ordinality as u(stored, made, n) order by n`,
        [pairs.map(({ stored }) => stored), pairs.map(({ made }) => made)],
      );
      return pairs.filter((_, i) => rows[i]?.same === true);
    } catch (error) {
      const state = sqlStateOf(error);
      if (state === undefined || !/^2[23]/.test(state)) throw translate(error, 'Comparing values');
      if (pairs.length === 1) return [];
      const half = pairs.length >> 1;
      return [...(await this.#equal(column, pairs.slice(0, half))), ...(await this.#equal(column, pairs.slice(half)))];
    }
  }
}

function sameExpression({ type, sqlType }: SqlColumn): string {
  if (type === 'json') return 'u.stored::jsonb = u.made::jsonb';
  const made = `(${writeExpression('u.made', type, sqlType)})`;
  if (type === 'numeric') return `u.stored::${sqlType} = ${made}`;
  return `${readExpression(made, type, sqlType)} = u.stored`;
}
