import type { ErrorCode } from '../../kernel/codes.ts';
import { GodwitError } from '../../kernel/errors.ts';

/** By SQLSTATE, most specific first: five characters, then the class of two (PostgreSQL documentation, appendix A). */
const TABLE: Readonly<Record<string, ErrorCode>> = {
  '40001': 'GW3003',
  '40P01': 'GW3003',
  '55P03': 'GW3003',
  '57014': 'GW3003',
  // Ended while it stood idle in a transaction: see `IDLE_LIMIT`.
  '25P03': 'GW3001',
  '57P01': 'GW3001',
  '57P02': 'GW3001',
  '57P03': 'GW3001',
  '53100': 'GW5009',
  '53300': 'GW3001',
  '25006': 'GW3002',
  // Raised by a trigger or function of the application's own.
  P0001: 'GW5007',
  '42501': 'GW2004',
  '28000': 'GW2003',
  '28P01': 'GW2003',
  '3D000': 'GW1001',
  GW001: 'GW1007',
  GW002: 'GW7009',
  GW003: 'GW7009',
  '08': 'GW3001',
  '22': 'GW5007',
  '23': 'GW5007',
  '44': 'GW5007',
  // A limit that this very row is beyond: too long for its index, for example.
  '54': 'GW5007',
  // Out of memory, locks or the like for the moment.
  '53': 'GW3003',
};

/** Faults of the way to the server, by the code Node gives them. */
const NETWORK = new Set(['ECONNREFUSED', 'ECONNRESET', 'EPIPE', 'ETIMEDOUT', 'EHOSTUNREACH', 'ENOTFOUND', 'EAI_AGAIN']);

/** The SQLSTATE of what a driver threw, also where a query builder wrapped it. */
export function sqlStateOf(error: unknown): string | undefined {
  for (let at = error, depth = 0; at instanceof Error && depth < 5; at = at.cause, depth += 1) {
    const code = (at as { code?: unknown }).code;
    if (typeof code === 'string' && /^[0-9A-Z]{5}$/.test(code) && !NETWORK.has(code)) return code;
  }
  return undefined;
}

/**
 * What a driver threw, as an error of ours. The driver's words are kept where
 * they name a table, constraint or column; where they may quote a value, only
 * the SQLSTATE and what it was about. Details, which do quote values, are not.
 */
export function translate(error: unknown, doing: string): GodwitError {
  if (error instanceof GodwitError) return error;
  const state = sqlStateOf(error);
  const code = codeOf(state, error);
  const said = wordsOf(state, error);
  return new GodwitError(code, `${doing}: ${said}`, {
    cause: error,
    ...(state ? { details: { sqlState: state } } : {}),
  });
}

/** Data exceptions quote what they could not read, an application's own may say anything. */
const QUOTING = /^(22|P0)/;

function wordsOf(state: string | undefined, error: unknown): string {
  if (state !== undefined && QUOTING.test(state)) return `SQLSTATE ${state}${aboutOf(error)}`;
  return error instanceof Error ? error.message : String(error);
}

/** `, constraint c of t`, `, column c of t` or nothing: what the server says an error is about. */
export function aboutOf(error: unknown): string {
  for (let at = error, depth = 0; at instanceof Error && depth < 5; at = at.cause, depth += 1) {
    const { constraint, column, table } = at as { constraint?: string; column?: string; table?: string };
    if (constraint) return `, constraint ${constraint}${table ? ` of ${table}` : ''}`;
    if (column) return `, column ${column}${table ? ` of ${table}` : ''}`;
  }
  return '';
}

function codeOf(state: string | undefined, error: unknown): ErrorCode {
  if (state !== undefined) return TABLE[state] ?? TABLE[state.slice(0, 2)] ?? 'GW5009';
  const network = (error as { code?: unknown } | undefined)?.code;
  if (typeof network === 'string' && NETWORK.has(network)) return 'GW3001';
  // The driver's own words for a connection that went away; it gives them no code.
  if (
    error instanceof Error &&
    /^(Connection terminated|Client has encountered a connection error)/.test(error.message)
  )
    return 'GW3001';
  return 'GW5009';
}
