/**
 * Turns what MongoDB says went wrong into Godwit's codes. The server's numeric
 * codes decide (src/mongo/base/error_codes.yml in the server), never its words:
 * those change between versions.
 */
import {
  type Document,
  MongoAPIError,
  MongoError,
  MongoNetworkError,
  MongoOperationTimeoutError,
  MongoParseError,
  MongoRuntimeError,
  MongoServerError,
  MongoServerSelectionError,
} from 'mongodb';
import type { ErrorCode } from '../../kernel/codes.ts';
import { type ErrorDetails, GodwitError } from '../../kernel/errors.ts';

const BY_SERVER_CODE = new Map<number, ErrorCode>();

function assign(code: ErrorCode, serverCodes: readonly number[]): void {
  for (const serverCode of serverCodes) BY_SERVER_CODE.set(serverCode, code);
}

assign('GW2003', [
  11, // UserNotFound
  18, // AuthenticationFailed
  334, // MechanismUnavailable
  391, // ReauthenticationRequired
]);
assign('GW2004', [
  13, // Unauthorized
]);
assign('GW3002', [
  91, // ShutdownInProgress
  189, // PrimarySteppedDown
  10058, // LegacyNotPrimary
  10107, // NotWritablePrimary
  11600, // InterruptedAtShutdown
  11602, // InterruptedDueToReplStateChange
  13435, // NotPrimaryNoSecondaryOk
  13436, // NotPrimaryOrSecondary
]);
assign('GW3003', [
  6, // HostUnreachable: the server could not reach another one
  7, // HostNotFound
  23, // LockBusy of old servers
  24, // LockTimeout
  43, // CursorNotFound
  46, // LockBusy
  50, // MaxTimeMSExpired
  63, // StaleShardVersion of old servers
  64, // WriteConcernFailed: the write is there, the acknowledgement came too late
  89, // NetworkTimeout
  112, // WriteConflict
  117, // ConflictingOperationInProgress
  133, // FailedToSatisfyReadPreference
  134, // ReadConcernMajorityNotAvailableYet
  150, // StaleEpoch
  175, // QueryPlanKilled
  202, // NetworkInterfaceExceededTimeLimit
  225, // TransactionTooOld
  234, // RetryChangeStream
  237, // CursorKilled
  239, // SnapshotTooOld
  246, // SnapshotUnavailable
  249, // StaleDbVersion
  251, // NoSuchTransaction
  262, // ExceededTimeLimit
  290, // TransactionExceededLifetimeLimitSeconds
  314, // ObjectIsBusy
  317, // ConnectionPoolExpired
  358, // InternalTransactionNotSupported
  365, // TemporarilyUnavailable
  384, // ConnectionError
  462, // IngressRequestRateLimitExceeded
  9001, // SocketException
  11601, // Interrupted: somebody killed the operation
  13388, // StaleConfig
]);
assign('GW4001', [
  136, // CappedPositionLost
  280, // ChangeStreamFatalError
  286, // ChangeStreamHistoryLost
]);

/** Labels with which the server itself says "once more"; heeded for codes not in the table. */
const RETRY_LABELS = ['RetryableWriteError', 'TransientTransactionError', 'ResumableChangeStreamError'];

/** Takes connection strings and their passwords out of words written by others. */
export function redact(text: string): string {
  return text
    .replace(/\bmongodb(\+srv)?:\/\/[^\s'"<>]+/gi, 'mongodb$1://<redacted>')
    .replace(/\/\/[^\s/@'"]+@/g, '//<redacted>@');
}

interface ServerWords {
  readonly code: number | undefined;
  readonly codeName: string | undefined;
  readonly errmsg: string;
  readonly retryLabel: boolean;
}

function translate(words: ServerWords, where: string, cause?: unknown): GodwitError {
  const known = words.code === undefined ? undefined : BY_SERVER_CODE.get(words.code);
  const code = known ?? (words.retryLabel ? 'GW3003' : 'GW5001');
  const details: Record<string, string | number> = { where };
  if (words.code !== undefined) details.serverCode = words.code;
  if (words.codeName !== undefined) details.codeName = words.codeName;
  const name = words.codeName ?? (words.code === undefined ? '' : `code ${words.code}`);
  const message = `${where}: ${redact(words.errmsg)}${name === '' ? '' : ` (${name})`}`;
  return new GodwitError(code, message, { details: details satisfies ErrorDetails, cause });
}

function asNumber(value: unknown): number | undefined {
  if (typeof value === 'number') return value;
  // Parsed without promotion, a number is an Int32, Long or Double object.
  return typeof value === 'object' && value !== null && '_bsontype' in value ? Number(value) : undefined;
}

function hasRetryLabel(labels: unknown): boolean {
  return Array.isArray(labels) && labels.some((label) => RETRY_LABELS.includes(label));
}

/** Whether a reply says that the command itself succeeded. */
export function isOk(reply: Document): boolean {
  return reply.ok === true || asNumber(reply.ok) === 1;
}

/**
 * The error of a reply with `ok: 0`, or of one entry of `writeErrors`, or of a
 * `writeConcernError`: all three carry `code` and `errmsg`.
 */
export function fromServerReply(doc: Document, where: string): GodwitError {
  return translate(
    {
      code: asNumber(doc.code),
      codeName: typeof doc.codeName === 'string' ? doc.codeName : undefined,
      errmsg: typeof doc.errmsg === 'string' ? doc.errmsg : 'the server gave no reason',
      retryLabel: hasRetryLabel(doc.errorLabels),
    },
    where,
  );
}

export interface DriverErrorOptions {
  /** The cluster has answered before, so a cluster without a primary is a passing fault. */
  readonly established?: boolean;
}

/** Errors of Node's sockets and resolver that waiting may cure. */
const NETWORK_ERRNO = /^(E(CONN|PIPE|TIMEDOUT|HOST|NET|AI_|ADDRNOTAVAIL|NOTFOUND|SOCKET)|UND_ERR)/;

/** What the driver, or anything else around a call to it, threw. */
export function fromDriver(error: unknown, where: string, options: DriverErrorOptions = {}): GodwitError {
  if (error instanceof GodwitError) return error;
  if (error instanceof MongoServerError) {
    const code = asNumber(error.code);
    return translate(
      {
        code,
        codeName: typeof error.codeName === 'string' ? error.codeName : undefined,
        errmsg: error.message,
        retryLabel: hasRetryLabel(error.errorLabels),
      },
      where,
      error,
    );
  }
  const fail = (code: ErrorCode) =>
    new GodwitError(code, `${where}: ${redact(error instanceof Error ? error.message : String(error))}`, {
      details: { where },
      cause: error,
    });
  if (error instanceof Error && error.name === 'AbortError') return fail('GW8001');
  if (error instanceof MongoServerSelectionError) return fail(options.established ? 'GW3001' : 'GW2002');
  if (error instanceof MongoNetworkError) return fail('GW3001');
  if (error instanceof MongoOperationTimeoutError) return fail('GW3003');
  if (error instanceof MongoParseError) return fail('GW1001');
  if (error instanceof MongoError) {
    if (CLOSED_ERRORS.has(error.name) || hasRetryLabel(error.errorLabels)) return fail('GW3001');
    if (CREDENTIAL_ERRORS.has(error.name)) return fail('GW2003');
    if (error.name === 'MongoInvalidArgumentError') return fail('GW1001');
    if (error.name === 'MongoWaitQueueTimeoutError') return fail('GW3003');
    return fail(error instanceof MongoAPIError || error instanceof MongoRuntimeError ? 'GW9001' : 'GW5001');
  }
  if (error instanceof Error && 'code' in error && NETWORK_ERRNO.test(String(error.code))) return fail('GW3001');
  return fail('GW9001');
}

const CLOSED_ERRORS = new Set([
  'MongoClientClosedError',
  'MongoCursorExhaustedError',
  'MongoNotConnectedError',
  'MongoPoolClosedError',
  'MongoServerClosedError',
  'MongoTopologyClosedError',
]);

const CREDENTIAL_ERRORS = new Set([
  'MongoAWSError',
  'MongoAzureError',
  'MongoGCPError',
  'MongoKerberosError',
  'MongoMissingCredentialsError',
  'MongoOIDCError',
]);

/** The server's own code behind an error, translated or not. */
export function serverCodeOf(error: unknown): number | undefined {
  if (error instanceof GodwitError) return asNumber(error.details.serverCode) ?? serverCodeOf(error.cause);
  return error instanceof MongoServerError ? asNumber(error.code) : undefined;
}
