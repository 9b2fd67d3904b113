import { GodwitError } from '../../kernel/errors.ts';

/** Kinds of DuckDB's errors whose first line tells of memory, files and space, and never of values. */
const TELLING = new Set(['Out of Memory Error', 'IO Error', 'Not implemented Error', 'Interrupted Error']);

/**
 * What DuckDB threw, as GW1009. It gives its errors no code, only a kind at the
 * head of the text. Of most kinds the kind alone is told: the text quotes rows,
 * a malformed line of CSV for example, and for that reason the error is not kept as the cause.
 */
export function translate(error: unknown, doing: string): GodwitError {
  if (error instanceof GodwitError) return error;
  const [said = ''] = (error instanceof Error ? error.message : String(error)).split('\n', 1);
  const [kind = ''] = said.split(':', 1);
  const words = TELLING.has(kind) ? said : /^[A-Z][A-Za-z ]{2,40} Error$/.test(kind) ? kind : 'unknown error';
  return new GodwitError('GW1009', `${doing}: DuckDB says ${words}`, { details: { engine: 'duckdb', kind } });
}

/** The package or its binary for this platform cannot be loaded. */
export function notHere(error: unknown): GodwitError {
  const message = `DuckDB cannot be loaded on ${process.platform}/${process.arch}`;
  return new GodwitError('GW1008', message, {
    details: { engine: 'duckdb', package: '@duckdb/node-api' },
    cause: error,
  });
}
