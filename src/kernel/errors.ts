import { CODES, type Disposition, type ErrorCode } from './codes.ts';

/** Facts that belong to an error: shown to people and in `--json`; never secrets. */
export type ErrorDetails = Readonly<Record<string, string | number | boolean | null | readonly string[]>>;

/**
 * The one error class. `code` says what happened (see codes.ts), `message`
 * says it of this case, `details` carries the facts, `cause` what was thrown
 * below. Callers branch on `code` or `disposition`, never on words.
 */
export class GodwitError extends Error {
  readonly code: ErrorCode;
  readonly details: ErrorDetails;

  constructor(code: ErrorCode, message: string, options: { details?: ErrorDetails; cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'GodwitError';
    this.code = code;
    this.details = options.details ?? {};
  }

  get disposition(): Disposition {
    return CODES[this.code].disposition;
  }

  get hint(): string {
    return CODES[this.code].remedy;
  }
}

/** Whether repeating the same request may succeed. */
export function isRetryable(error: unknown): boolean {
  return error instanceof GodwitError && error.disposition === 'retry';
}

/** Whether the error means that somebody asked us to stop. */
export function isAborted(error: unknown): boolean {
  if (error instanceof GodwitError) return error.disposition === 'aborted';
  return error instanceof Error && error.name === 'AbortError';
}

/** Throws GW8001 when the signal is set: the one way loops notice a stop. */
export function throwIfAborted(signal: AbortSignal): void {
  if (signal.aborted) throw abortedBy(signal);
}

/** The error of a signal that is set: its own reason where that is one of ours. */
export function abortedBy(signal: AbortSignal): GodwitError {
  if (signal.reason instanceof GodwitError) return signal.reason;
  return new GodwitError('GW8001', 'Stopped on request', { cause: signal.reason });
}

/** A condition that the code rules out; a failure is a bug in Godwit (GW9001). */
export function invariant(condition: unknown, what: string): asserts condition {
  if (!condition) throw new GodwitError('GW9001', what);
}
