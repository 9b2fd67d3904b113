/** Every way a command can fail, as words, as JSON and as an exit code. */
import { CommanderError } from 'commander';
import { CODES, type ErrorCode, exitCodeOf } from '../kernel/codes.ts';
import { type ErrorDetails, GodwitError, isAborted } from '../kernel/errors.ts';
import { printable } from '../routes/migrate/report/format.ts';
import type { Paint } from './paint.ts';

export interface Failure {
  readonly code: ErrorCode;
  readonly message: string;
  readonly hint: string;
  readonly details: ErrorDetails;
  readonly exitCode: number;
}

export function failureOf(error: unknown): Failure {
  const known = asGodwitError(error);
  const { code, message, hint, details } = known;
  return { code, message, hint, details, exitCode: exitCodeOf(code) };
}

function asGodwitError(error: unknown): GodwitError {
  if (error instanceof GodwitError) return error;
  if (error instanceof CommanderError) {
    return new GodwitError('GW1001', error.message.replace(/^error: /, '').replaceAll('\n', ' '), { cause: error });
  }
  if (isAborted(error)) return new GodwitError('GW8001', 'Stopped on request', { cause: error });
  const message = error instanceof Error ? error.message : String(error);
  if (isRefusal(error)) return new GodwitError('GW1010', message, { cause: error });
  const where =
    error instanceof Error && error.stack
      ? error.stack
          .split('\n')
          .slice(1, 6)
          .map((line) => line.trim())
      : [];
  return new GodwitError('GW9001', message, { details: { where }, cause: error });
}

const REFUSALS: ReadonlySet<unknown> = new Set([
  ...[
    'ENOENT',
    'ENOTDIR',
    'EISDIR',
    'EEXIST',
    'ENOTEMPTY',
    'ENAMETOOLONG',
    'ELOOP',
    'ENXIO',
    'ENODEV',
    'ETXTBSY',
    'EBUSY',
  ],
  ...['EACCES', 'EPERM', 'EROFS', 'EADDRINUSE', 'EADDRNOTAVAIL', 'EINVAL'],
]);

/** Of the system, about something that has a name: rather a wrong option than a wrong program. */
function isRefusal(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  const { code, path, address } = error as { code?: unknown; path?: unknown; address?: unknown };
  return REFUSALS.has(code) && (path !== undefined || address !== undefined);
}

export function failureText(failure: Failure, paint: Paint): string {
  const stopped = failure.code === 'GW8001';
  const colour = stopped ? paint.yellow : paint.red;
  const lines = [`${colour(`${failure.code} ${CODES[failure.code].title}`)}`, `  ${printable(failure.message)}`];
  // Options already stand in the message of GW1001; elsewhere the facts help.
  if (!failure.code.startsWith('GW1')) {
    for (const [name, value] of Object.entries(failure.details)) {
      for (const part of Array.isArray(value) ? value : [value])
        lines.push(paint.dim(`  ${name}: ${printable(String(part))}`));
    }
  }
  lines.push(`  ${paint.bold('What to do:')} ${failure.hint}`);
  return `${lines.join('\n')}\n`;
}

export function failureJson({ code, message, hint, details }: Failure): string {
  return `${JSON.stringify({ version: 1, error: { code, message, hint, details } })}\n`;
}
