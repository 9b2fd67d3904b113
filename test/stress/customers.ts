/** Who writes which customers of a stress run: a fault must not be written over, and a belief needs one writer. */

/**
 * - `own`: written by one connection, which knows how they look.
 * - `shared`, `hot`: written by all connections; few are hot, and take a good part of the writes.
 * - `raw`: written past the library only.
 * - `quiet`: written by nobody but who injects faults.
 */
export type Kind = 'own' | 'shared' | 'hot' | 'raw' | 'quiet';

/** Customers of each fifty that one kind has, but for `own`. */
const CYCLE = 50;
const HOT = 64;

/** Kind of a customer among `customers`; they are numbered from 1. */
export function kindOf(id: number, customers: number): Kind {
  if (id > customers) return 'own';
  switch (id % CYCLE) {
    case 7:
      return 'quiet';
    case 17:
      return 'raw';
    case 9: {
      // Spread over the whole table.
      const step = Math.max(1, Math.floor(customers / CYCLE / HOT));
      const n = (id - 9) / CYCLE;
      return n % step === 0 && n / step < HOT ? 'hot' : 'shared';
    }
    case 3:
    case 13:
    case 23:
    case 33:
    case 43:
      return 'shared';
    default:
      return 'own';
  }
}

/** All of a kind, in order. */
export function allOf(kind: Kind, customers: number): readonly number[] {
  return Array.from({ length: customers }, (_, i) => i + 1).filter((id) => kindOf(id, customers) === kind);
}

/** As `makeCustomers` fills the table. */
export function firstEmailOf(id: number): string {
  return `user${id}@example.com`;
}

export function firstPlanOf(id: number): string | undefined {
  return id % 3 > 0 ? `plan${id % 5}` : undefined;
}
