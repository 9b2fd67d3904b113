/**
 * Turns what amqplib and the broker say went wrong into Godwit's codes. AMQP's
 * reply codes and Node's error codes decide. During the opening handshake amqplib
 * puts the reply into its text only, so there the code is read from its own fixed
 * words (never the broker's), and a test on a real broker holds them.
 */
import type { ErrorCode } from '../../kernel/codes.ts';
import { type ErrorDetails, GodwitError } from '../../kernel/errors.ts';
import { redactUri } from '../../kernel/redact.ts';

const BY_REPLY_CODE = new Map<number, ErrorCode>([
  [312, 'GW3003'], // NO_ROUTE: the queue went away and is declared again
  [320, 'GW3001'], // CONNECTION_FORCED: the broker shuts down, or somebody closed the connection
  [403, 'GW2004'], // ACCESS_REFUSED, once logged in
  [404, 'GW3003'], // NOT_FOUND: no such queue, or a queue without a leader for now
  [405, 'GW3003'], // RESOURCE_LOCKED
  [406, 'GW3003'], // PRECONDITION_FAILED while listening: an answer took longer than the broker allows
  [501, 'GW3001'], // FRAME_ERROR
  [504, 'GW3001'], // CHANNEL_ERROR
  [506, 'GW3003'], // RESOURCE_ERROR
  [530, 'GW2004'], // NOT_ALLOWED: no such virtual host, or not for this user
  [541, 'GW3003'], // INTERNAL_ERROR
]);

/** A declaration that does not fit will not fit later either. */
const WHEN_DECLARING = new Map<number, ErrorCode>([
  [406, 'GW1001'], // PRECONDITION_FAILED: arguments that this broker does not take
  [540, 'GW1001'], // NOT_IMPLEMENTED: no quorum queues
]);

/** What only a person can cure about a connection: certificates, and TLS spoken to a port without it. */
const TLS_CODE = /CERT|SELF_SIGNED|UNABLE_TO_|^ERR_TLS|^ERR_SSL|^EPROTO$/;
const NETWORK_CODE = /^(E(CONN|PIPE|TIMEDOUT|HOST|NET|AI_|ADDRNOTAVAIL|NOTFOUND|SOCKET)|ABORT_ERR|ERR_STREAM)/;

const HANDSHAKE_REPLY = /^Handshake terminated by server: (\d{3}) /;
const VHOST_REFUSED = /^Expected ConnectionOpenOk; got <ConnectionClose /;

/** What amqplib threw or told. `where` says what was being done, without credentials. */
export function fromBroker(error: unknown, where: string, options: { readonly declaring?: boolean } = {}): GodwitError {
  if (error instanceof GodwitError) return error;
  const words = error instanceof Error ? redactUri(error.message) : 'no reason given';
  const replyCode = replyCodeOf(error);
  const details: ErrorDetails = replyCode === undefined ? { where } : { where, replyCode };
  return new GodwitError(codeOf(error, replyCode, options.declaring === true), `${where}: ${words}`, {
    details,
    cause: error,
  });
}

function codeOf(error: unknown, replyCode: number | undefined, declaring: boolean): ErrorCode {
  if (!(error instanceof Error)) return 'GW9001';
  if (HANDSHAKE_REPLY.test(error.message) && replyCode === 403) return 'GW2003';
  if (replyCode !== undefined)
    return (declaring ? WHEN_DECLARING.get(replyCode) : undefined) ?? BY_REPLY_CODE.get(replyCode) ?? 'GW9001';
  const code = 'code' in error ? String(error.code) : '';
  if (TLS_CODE.test(code)) return 'GW2002';
  if (NETWORK_CODE.test(code)) return 'GW3001';
  // amqplib tells of closed channels and connections, missed heartbeats and its time-out with plain errors.
  const plain = error.name === 'Error' || error.name === 'IllegalOperationError';
  return plain && code === '' ? 'GW3001' : 'GW9001';
}

function replyCodeOf(error: unknown): number | undefined {
  if (!(error instanceof Error)) return undefined;
  if ('code' in error && typeof error.code === 'number') return error.code;
  const inHandshake = HANDSHAKE_REPLY.exec(error.message)?.[1];
  if (inHandshake !== undefined) return Number(inHandshake);
  return VHOST_REFUSED.test(error.message) ? 530 : undefined;
}
