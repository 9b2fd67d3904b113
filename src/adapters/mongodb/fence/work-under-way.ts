import { createHash } from 'node:crypto';
import type { Document } from 'bson';
import { type Clock, systemClock } from '../../../kernel/clock.ts';
import { throwIfAborted } from '../../../kernel/errors.ts';
import type { Cluster } from '../cluster.ts';
import { fromDriver } from '../errors.ts';
import { userName } from './writers.ts';

const POLL_MS = 25;

const WRITING_COMMANDS = new Set([
  'insert',
  'update',
  'delete',
  'findAndModify',
  'findandmodify',
  'bulkWrite',
  'mapReduce',
  'mapreduce',
  'create',
  'createIndexes',
  'drop',
  'dropDatabase',
  'dropIndexes',
  'deleteIndexes',
  'collMod',
  'renameCollection',
  'convertToCapped',
  'cloneCollectionAsCapped',
]);

/**
 * Waits until nothing is open that these users began before now and that can
 * still write. Measured on 6.0.5: after `updateUser` has taken their writes, a
 * transaction takes no further statement (Unauthorized), but its commit, which
 * needs no privilege, makes durable what it had written; and a long update goes
 * on to its end, for privileges are looked at when a command begins.
 *
 * An idle transaction does not tell which namespaces it touched, so all of
 * these users are waited for. Servers end a transaction after
 * `transactionLifetimeLimitSeconds` (60 by default).
 */
export async function waitForWorkUnderWay(
  cluster: Cluster,
  users: readonly { user: string; db: string }[],
  signal: AbortSignal,
  clock: Clock = systemClock,
): Promise<void> {
  if (users.length === 0) return;
  const { localTime } = await cluster.command('admin', { hello: 1 });
  const names = new Set(users.map(userName));
  const sessions = new Set(users.map((user) => createHash('sha256').update(userName(user)).digest('hex')));
  for (;;) {
    throwIfAborted(signal);
    const operations = await currentOperations(cluster);
    const open = operations.some(
      (operation) => isOpenTransaction(operation, sessions, localTime as Date) || isWriteOf(operation, names),
    );
    if (!open) return;
    await clock.sleep(POLL_MS, signal);
  }
}

async function currentOperations(cluster: Cluster): Promise<Document[]> {
  try {
    const pipeline = [
      { $currentOp: { allUsers: true, idleSessions: true } },
      { $match: { $or: [{ transaction: { $exists: true } }, { active: true }] } },
    ];
    return await cluster.db('admin').aggregate(pipeline, { promoteBuffers: true }).toArray();
  } catch (error) {
    throw fromDriver(error, `reading what is under way on the ${cluster.name}`);
  }
}

/** A session carries the SHA-256 of its user's name. */
function isOpenTransaction(operation: Document, sessions: ReadonlySet<string>, before: Date): boolean {
  const transaction = operation['transaction'] as Document | undefined;
  // A retryable write shows a transaction number as well, but no `autocommit`.
  if (transaction?.['parameters']?.autocommit !== false) return false;
  const uid = operation['lsid']?.uid as Buffer | { buffer: Uint8Array } | undefined;
  if (uid === undefined) return false;
  const digest = Buffer.from('buffer' in uid && !Buffer.isBuffer(uid) ? uid.buffer : (uid as Buffer)).toString('hex');
  return sessions.has(digest) && !(new Date(String(transaction['startWallClockTime'])) > before);
}

function isWriteOf(operation: Document, names: ReadonlySet<string>): boolean {
  if (operation['active'] !== true) return false;
  const users = (operation['effectiveUsers'] as { user: string; db: string }[] | undefined) ?? [];
  if (!users.some((user) => names.has(userName(user)))) return false;
  if (['insert', 'update', 'remove'].includes(String(operation['op']))) return true;
  const command = (operation['command'] ?? {}) as Document;
  const name = Object.keys(command)[0] ?? '';
  if (name === 'aggregate')
    return (
      (command['pipeline'] as Document[] | undefined)?.some((stage) => '$out' in stage || '$merge' in stage) ?? false
    );
  return WRITING_COMMANDS.has(name);
}
