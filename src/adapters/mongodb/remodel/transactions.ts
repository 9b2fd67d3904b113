import type { ClientSession, Db, MongoClient, TransactionOptions } from 'mongodb';
import { MongoError } from 'mongodb';
import { GodwitError } from '../../../kernel/errors.ts';
import { fromDriver, serverCodeOf } from '../errors.ts';

const OPTIONS: TransactionOptions = {
  readConcern: { level: 'snapshot' },
  writeConcern: { w: 'majority' },
  readPreference: 'primary',
};

/**
 * Runs a transaction of our own. The driver repeats it while others write the
 * same documents; what else goes wrong is thrown, translated.
 */
export async function transact<T>(
  client: MongoClient,
  where: string,
  work: (session: ClientSession) => Promise<T>,
): Promise<T> {
  try {
    return await client.withSession((session) => session.withTransaction(() => work(session), OPTIONS));
  } catch (error) {
    throw storeError(error, where);
  }
}

const DUPLICATE_KEY = 11000;
const VALIDATION_FAILED = 121;
const TOO_LARGE = 10334;

/** Translated, and what the collection does not admit as GW5007. */
export function storeError(error: unknown, where: string): GodwitError {
  if (error instanceof GodwitError) return error;
  const code = serverCodeOf(error);
  if (code === DUPLICATE_KEY || code === VALIDATION_FAILED || code === TOO_LARGE)
    return new GodwitError('GW5007', `${where}: ${REFUSALS[code]}`, { details: { where, serverCode: code } });
  return fromDriver(error, where, { established: true });
}

/** The server's own words would hold values of the row. */
const REFUSALS: Readonly<Record<number, string>> = {
  [DUPLICATE_KEY]: 'a unique index has a document with this key already',
  [VALIDATION_FAILED]: 'the validator of the collection does not admit the document',
  [TOO_LARGE]: 'the document would be larger than MongoDB allows',
};

/**
 * For work inside a transaction of the application: errors after which the
 * driver repeats that transaction go through as they are, because it knows
 * them by their label; others are translated.
 */
export async function inTheirs<T>(where: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const isTheirs = hasLabel(error, 'TransientTransactionError') || hasLabel(error, 'UnknownTransactionCommitResult');
    throw isTheirs ? error : storeError(error, where);
  }
}

/** By shape, not by class: the application may have another copy of the driver. */
function hasLabel(error: unknown, label: string): boolean {
  if (error instanceof MongoError) return error.hasErrorLabel(label);
  const labels = (error as { readonly errorLabels?: unknown } | null)?.errorLabels;
  return Array.isArray(labels) && labels.includes(label);
}

/** Whether an error is of the row at hand: the identity goes to quarantine, and the work goes on. */
export function isOfTheRow(error: unknown): error is GodwitError {
  return error instanceof GodwitError && ['GW5005', 'GW5006', 'GW5007', 'GW5008'].includes(error.code);
}

/** Runs `work` on each item, a few at a time. */
export async function eachOf<T>(items: readonly T[], atOnce: number, work: (item: T) => Promise<void>): Promise<void> {
  const rest = items.values();
  const lane = async () => {
    for (const item of rest) await work(item);
  };
  await Promise.all(Array.from({ length: Math.min(atOnce, items.length) }, lane));
}

/** The database as the client of this session has it: a session works with no other client than its own. */
export function dbOf(session: ClientSession, name: string): Db {
  return (session as unknown as { readonly client: MongoClient }).client.db(name);
}
