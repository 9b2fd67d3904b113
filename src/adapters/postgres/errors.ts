import type { ErrorCode } from '../../kernel/codes.ts';
import { GodwitError } from '../../kernel/errors.ts';

/** By SQLSTATE, most specific first: five characters, then the class of two (PostgreSQL documentation, appendix A). */
const TABLE: Readonly<Record<string, ErrorCode>> = {
  '40001': 'GW3003',
  '40P01': 'GW3003',
  '55P03': 'GW3003',
  '57014': 'GW3003',
  '57P01': 'GW3001',
  '57P02': 'GW3001',
  '57P03': 'GW3001',
  '53300': 'GW3001',
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
 * What a driver threw, as an error of ours. The driver's words are kept: they
 * name constraint and column; its detail, which quotes values, is not.
 */
export function translate(error: unknown, doing: string): GodwitError {
  if (error instanceof GodwitError) return error;
  const state = sqlStateOf(error);
  const code = codeOf(state, error);
  const said = error instanceof Error ? error.message : String(error);
  return new GodwitError(code, `${doing}: ${said}`, {
    cause: error,
    ...(state ? { details: { sqlState: state } } : {}),
  });
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
