import type { ErrorCode } from '../../../kernel/codes.ts';
import { GodwitError } from '../../../kernel/errors.ts';
import { redactUri } from '../../../kernel/redact.ts';
import type { Control, Identity } from '../../../kernel/remodel/index.ts';

/** What a loop of this process could not do; it tries again. */
interface Failure {
  readonly remodel: string;
  readonly code: ErrorCode;
  readonly error: string;
}

/** What an application may want to log. Never holds values of rows that `clean` did not let through. */
export type GodwitEvent =
  | { readonly kind: 'control-changed'; readonly remodel: string; readonly control: Control | undefined }
  | { readonly kind: 'definition-differs'; readonly remodel: string }
  | ({ readonly kind: 'control-failed' } & Failure)
  | ({ readonly kind: 'relay-failed'; readonly task: string } & Failure)
  | { readonly kind: 'relay-recovered'; readonly task: string; readonly remodel: string; readonly failures: number }
  | { readonly kind: 'quarantined'; readonly remodel: string; readonly identities: number }
  | ({ readonly kind: 'shadow-failed'; readonly side: 'old' | 'new' } & Failure)
  | {
      readonly kind: 'shadow-difference';
      readonly remodel: string;
      readonly identity: Identity;
      /** Where the answers differ, such as `subscriptions.0.plan`; at most 20. */
      readonly paths: readonly string[];
      /** Only with `clean`. */
      readonly old?: unknown;
      readonly new?: unknown;
    };

export type OnEvent = (event: GodwitEvent) => void;

/** A handler that throws must not stop a loop; what it threw is not lost either. */
export function safely(onEvent: OnEvent | undefined): OnEvent {
  return (event) => {
    try {
      onEvent?.(event);
    } catch (error) {
      process.emitWarning(error instanceof Error ? error : String(error));
    }
  };
}

/** The code of an error and words that may be shown: those of Godwit's own errors, and only the name of others. */
export function describeError(error: unknown): { code: ErrorCode; error: string } {
  if (error instanceof GodwitError) return { code: error.code, error: redactUri(error.message) };
  return { code: 'GW9001', error: error instanceof Error ? error.name : typeof error };
}
