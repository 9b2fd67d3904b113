import { createHash } from 'node:crypto';
import type pg from 'pg';
import { GodwitError } from '../../../kernel/errors.ts';

/** A parameter: all values cross as text, lists as arrays of text. */
export type Param = string | null | readonly (string | null)[];

/** A row by alias, every value as the server's text. */
export type TextRow = Readonly<Record<string, string | null>>;

/** Runs one statement whose columns are all of type text. */
export interface Executor {
  query(
    sql: string,
    params?: readonly Param[],
    /** A statement that comes again and again: the server keeps its plan with the connection, where the driver can. */
    how?: 'prepared',
  ): Promise<{ readonly rows: readonly TextRow[]; readonly count: number }>;
  /** After a statement: whether each commits by itself. False also where the driver cannot tell. */
  readonly isOutside: () => boolean;
}

/** `pg`: a Client or PoolClient inside a transaction. */
interface PgLike {
  query(config: object): Promise<{ rows: TextRow[]; rowCount: number | null }>;
  /** `I` for none, since the last answer of the server. */
  getTransactionStatus?(): string | null;
}

/** Kysely: a Transaction. */
interface KyselyLike {
  readonly isTransaction?: boolean;
  executeQuery(query: object): Promise<{ rows: TextRow[]; numAffectedRows?: bigint }>;
}

/** Drizzle on `pg`: a transaction; its session knows the client. */
interface DrizzleLike {
  readonly _: { readonly session: { readonly client: PgLike } };
}

/** Prisma: the client of an interactive transaction. */
interface PrismaLike {
  $queryRawUnsafe(sql: string, ...params: unknown[]): Promise<TextRow[]>;
}

/** What an application may hand over as its transaction. */
export type PgTransaction = pg.ClientBase | KyselyLike | DrizzleLike | PrismaLike | object;

/** Values stay as the server's text: a driver's parser could round them. */
const AS_TEXT = { getTypeParser: () => (value: string) => value };

/** `prepare`: whether prepared statements may be used; a pooler that hands each transaction another connection may forbid it. */
export function onPg(client: Pick<pg.ClientBase, 'query'>, prepare = true): Executor {
  return {
    isOutside: () => (client as unknown as PgLike).getTransactionStatus?.() === 'I',
    query: async (text, values = [], how) => {
      const name = how === 'prepared' && prepare ? nameOf(text) : undefined;
      const result = await (client as unknown as PgLike).query({ name, text, values, types: AS_TEXT });
      return { rows: result.rows, count: result.rowCount ?? result.rows.length };
    },
  };
}

const names = new Map<string, string>();

/** Name under which a text is prepared. Few ever are: those of `enter` and of the fast lanes. */
export function nameOf(text: string): string {
  let name = names.get(text);
  if (name === undefined) {
    name = `godwit-${createHash('sha256').update(text).digest('hex').slice(0, 32)}`;
    names.set(text, name);
  }
  return name;
}

/**
 * The application's transaction as an executor.
 * @throws GodwitError GW1001 for anything that is none.
 */
export function executorOf(tx: PgTransaction, prepare: boolean): Executor {
  if (isPool(tx) || isPool((tx as Partial<DrizzleLike>)._?.session?.client))
    throw new GodwitError('GW1001', 'A pool was handed over where a transaction is needed');
  if (has<KyselyLike>(tx, 'executeQuery')) return onKysely(tx);
  if (has<PrismaLike>(tx, '$queryRawUnsafe')) return onPrisma(tx);
  const session = (tx as Partial<DrizzleLike>)._?.session;
  if (session && has<PgLike>(session.client, 'query')) return onPg(session.client as unknown as pg.ClientBase, prepare);
  if (has<PgLike>(tx, 'query')) return onPg(tx as unknown as pg.ClientBase, prepare);
  throw new GodwitError(
    'GW1001',
    'The transaction handed over is none of: pg client, Kysely transaction, Drizzle transaction, Prisma transaction',
  );
}

function isPool(value: unknown): boolean {
  return has(value, 'query') && typeof (value as { totalCount?: unknown }).totalCount === 'number';
}

function has<T>(value: unknown, method: string): value is T {
  return (
    typeof value === 'object' && value !== null && typeof (value as Record<string, unknown>)[method] === 'function'
  );
}

let kyselyIds = 0;

function onKysely(tx: KyselyLike): Executor {
  return {
    isOutside: () => tx.isTransaction === false,
    query: async (sql, parameters = []) => {
      kyselyIds += 1;
      const result = await tx.executeQuery({
        sql,
        parameters,
        query: { kind: 'RawNode', sqlFragments: [sql], parameters: [] },
        queryId: { queryId: `godwit-${kyselyIds}` },
      });
      return { rows: result.rows, count: Number(result.numAffectedRows ?? result.rows.length) };
    },
  };
}

/** Prisma tells no number of rows: statements whose number counts end in RETURNING. */
function onPrisma(tx: PrismaLike): Executor {
  return {
    isOutside: () => has(tx, '$transaction'),
    query: async (sql, params = []) => {
      const rows = await tx.$queryRawUnsafe(sql, ...params);
      return { rows, count: rows.length };
    },
  };
}
