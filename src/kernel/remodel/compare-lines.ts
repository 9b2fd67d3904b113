import { invariant } from '../errors.ts';
import type { CompareSummary } from './compare.ts';
import { compareSqlHash, type FoundKind } from './compare-sql.ts';

/** A row of `compareSql`, as an engine gives it. Types are checked here, not trusted. */
export interface FoundRow {
  readonly k: unknown;
  readonly kind: unknown;
  readonly cols: unknown;
}

/** A row of `COUNTS_SQL`. */
export interface CountRow {
  readonly oldRows: number;
  readonly newRows: number;
  readonly pending: number;
}

const KINDS: ReadonlySet<unknown> = new Set<FoundKind>([
  'missing',
  'extra',
  'resurrected',
  'different',
  'pending-old',
  'pending-new',
  'pending-both',
]);

/**
 * Keys in the order of their UTF-8 bytes, each once. An engine that sorts
 * otherwise (a collation), that doubles a key, or that lost one to NULL, is
 * found out here, and not by whoever compares two engines' files.
 */
class KeyOrder {
  #last: Buffer | undefined;

  check(k: unknown): asserts k is string {
    invariant(typeof k === 'string', 'the comparison found a row without a key');
    const bytes = Buffer.from(k, 'utf8');
    invariant(
      this.#last === undefined || Buffer.compare(this.#last, bytes) < 0,
      'the comparison gave keys twice or not in the order of their bytes: is a file there twice, or split otherwise?',
    );
    this.#last = bytes;
  }
}

/** Lines of the file of `CompareEngine.missing`, for keys in the order of their bytes. */
export class MissingLines {
  #count = 0;
  readonly #order: KeyOrder = new KeyOrder();

  get count(): number {
    return this.#count;
  }

  line(k: unknown): string {
    this.#order.check(k);
    this.#count += 1;
    return `${JSON.stringify(k)}\n`;
  }
}

/** Lines and summary of `CompareEngine.compare`, for rows in the order of their keys' bytes. */
export class DifferenceLines {
  readonly #columns: readonly string[];
  readonly #order: KeyOrder = new KeyOrder();
  readonly #counts: Record<FoundKind, number> = {
    missing: 0,
    extra: 0,
    resurrected: 0,
    different: 0,
    'pending-old': 0,
    'pending-new': 0,
    'pending-both': 0,
  };

  /** `columns`: property names behind `c0`, `c1` …. */
  constructor(columns: readonly string[]) {
    this.#columns = columns;
  }

  /** Undefined for what is pending: that is counted and not reported. */
  line({ k, kind, cols }: FoundRow): string | undefined {
    this.#order.check(k);
    invariant(KINDS.has(kind) && typeof cols === 'string', 'the comparison gave a row that the SQL does not give');
    this.#counts[kind as FoundKind] += 1;
    if (String(kind).startsWith('pending-')) return undefined;
    return `${JSON.stringify({ k, kind, columns: this.#names(cols) })}\n`;
  }

  /**
   * Also checks that rows and findings add up: as many rows were matched on one
   * side as on the other, which a key that is there twice would break.
   */
  summary(rows: CountRow): CompareSummary {
    const counts = this.#counts;
    const matchedOld = rows.oldRows - counts.missing - counts.resurrected - counts['pending-old'];
    const matchedNew = rows.newRows - counts.extra - counts['pending-new'];
    invariant(
      matchedOld === matchedNew,
      `the comparison does not add up: ${matchedOld} old rows are matched by ${matchedNew} new ones; is a key there twice?`,
    );
    return {
      ...rows,
      missing: counts.missing,
      extra: counts.extra,
      resurrected: counts.resurrected,
      different: counts.different,
      sql: compareSqlHash(this.#columns.length),
    };
  }

  #names(cols: string): string[] {
    if (cols === '') return [];
    return cols.split(',').map((number) => {
      const name = this.#columns[Number(number)];
      invariant(name !== undefined, `the comparison gave column ${number}, which there is not`);
      return name;
    });
  }
}
