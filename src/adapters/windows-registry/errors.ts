import { type ErrorDetails, GodwitError } from '../../kernel/errors.ts';

/** A place in the hive contradicts the format: nothing of it is trusted. */
export function damaged(what: string, details: ErrorDetails = {}): GodwitError {
  return new GodwitError('GW2302', what, { details });
}

/** Where in a hive, as people write offsets. */
export function hex(offset: number): string {
  return `0x${(offset >>> 0).toString(16)}`;
}
