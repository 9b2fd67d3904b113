import { invariant } from '../kernel/errors.ts';
import { redactUri } from '../kernel/redact.ts';

/** JSON text of a value that must come back as it is. */
export function toJson(value: unknown): string {
  const text = JSON.stringify(value);
  invariant(text !== undefined, 'A value that JSON cannot hold was to be stored');
  return text;
}

/** JSON text of what is only shown to people: secrets inside are hidden, for messages often quote connection strings. */
export function toShownJson(value: unknown): string {
  const text = JSON.stringify(value, (_key, part: unknown) => (typeof part === 'string' ? redactUri(part) : part));
  invariant(text !== undefined, 'A value that JSON cannot hold was to be stored');
  return text;
}
