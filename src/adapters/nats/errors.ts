/**
 * Turns what the NATS client and JetStream say went wrong into Godwit's codes.
 * The client's error classes and JetStream's numbers decide (`err_code`, errors.json
 * in the server), never words.
 */
import { JetStreamApiError, JetStreamError } from '@nats-io/jetstream';
import { errors } from '@nats-io/transport-node';
import type { ErrorCode } from '../../kernel/codes.ts';
import { type ErrorDetails, GodwitError } from '../../kernel/errors.ts';
import { redactUri } from '../../kernel/redact.ts';

export const STREAM_NOT_FOUND = 10059;
export const STREAM_NAME_IN_USE = 10058;
export const SUBJECTS_OVERLAP = 10065;

const BY_API_CODE = new Map<number, ErrorCode>([
  [10039, 'GW2004'], // JetStream not enabled for this account
  [10076, 'GW2004'], // JetStream not enabled
  [10002, 'GW2004'], // resource limits of the account exceeded
  [10014, 'GW3003'], // consumer not found: somebody deleted it; it is made anew
  [STREAM_NOT_FOUND, 'GW3003'], // likewise
  [10023, 'GW3003'], // insufficient resources
  [10028, 'GW3003'], // memory resources exceeded
  [10047, 'GW3003'], // storage resources exceeded
  [10077, 'GW3003'], // the stream stores as many messages as it may
]);

const BY_CLASS: readonly (readonly [abstract new (...args: never[]) => Error, ErrorCode])[] = [
  [errors.AuthorizationError, 'GW2003'],
  [errors.UserAuthenticationExpiredError, 'GW2003'],
  [errors.PermissionViolationError, 'GW2004'],
  [errors.InvalidArgumentError, 'GW1001'],
  [JetStreamError, 'GW3003'], // a pull ended early: consumer deleted, leader changed, heartbeats missed
  [errors.NoRespondersError, 'GW3003'], // nobody took the message: JetStream is starting, or the stream is gone
  [errors.TimeoutError, 'GW3003'],
  [errors.ConnectionError, 'GW3001'],
  [errors.ClosedConnectionError, 'GW3001'],
  [errors.DrainingConnectionError, 'GW3001'],
  [errors.ProtocolError, 'GW3001'],
];

/** What only a person can cure about a connection: certificates, and TLS spoken to a port without it. */
const TLS_CODE = /CERT|SELF_SIGNED|UNABLE_TO_|^ERR_TLS|^ERR_SSL|^EPROTO$/;
const NETWORK_CODE = /^(E(CONN|PIPE|TIMEDOUT|HOST|NET|AI_|ADDRNOTAVAIL|NOTFOUND|SOCKET)|ABORT_ERR|ERR_STREAM)/;

/** What the client threw or told. `where` says what was being done, without credentials. */
export function fromNats(error: unknown, where: string): GodwitError {
  if (error instanceof GodwitError) return error;
  const words = error instanceof Error ? redactUri(error.message) : 'no reason given';
  const details: ErrorDetails = error instanceof JetStreamApiError ? { where, apiCode: error.code } : { where };
  return new GodwitError(codeOf(error), `${where}: ${words}`, { details, cause: error });
}

function codeOf(error: unknown): ErrorCode {
  if (!(error instanceof Error)) return 'GW9001';
  if (error instanceof JetStreamApiError)
    return BY_API_CODE.get(error.code) ?? (error.status >= 500 ? 'GW3003' : 'GW1001');
  const systemCode = 'code' in error ? String(error.code) : '';
  if (TLS_CODE.test(systemCode)) return 'GW2002';
  if (NETWORK_CODE.test(systemCode)) return 'GW3001';
  // The client wraps what it was told: a refused request, a refused connection.
  const inner = error.cause === undefined ? 'GW9001' : codeOf(error.cause);
  if (inner !== 'GW9001') return inner;
  return (
    BY_CLASS.find(([type]) => error instanceof type)?.[1] ??
    (error instanceof errors.RequestError ? 'GW3003' : 'GW9001')
  );
}
