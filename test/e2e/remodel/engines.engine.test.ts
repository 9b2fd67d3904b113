/** The list of what is missing, and the proof, by engines outside of the database, on a real PostgreSQL. */
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type PostgresServer, startPostgres } from '../../servers/postgres.ts';
import { findSpark } from '../../servers/spark.ts';
import { answerOf, makeCustomers } from './world.ts';

const ROWS = 300;
let server: PostgresServer;
let work: string;

beforeAll(async () => {
  process.env['SPARK_HOME'] = await findSpark();
  server = await startPostgres({ fsync: false });
  work = mkdtempSync(join(tmpdir(), 'godwit-engines-'));
});
afterAll(async () => {
  await server?.stop();
  rmSync(work, { recursive: true, force: true });
});

async function query(db: string, text: string): Promise<void> {
  const client = new pg.Client(db);
  await client.connect();
  await client.query(text).finally(() => client.end());
}

test.each(['duckdb', 'spark'])(
  '%s lists what is missing, proves it, and finds what is wrong',
  async (engine) => {
    const db = await server.createDatabase();
    await makeCustomers(db, ROWS);
    await query(db, `update customers set email = E'tab\\t quote" comma, ''\\n', sub_plan = '' where customer_id = 3`);
    await query(db, "update customers set sub_amount = null, sub_started = '-infinity' where customer_id = 4");
    await answerOf(db, ['create', '--samples', '5']);
    await answerOf(db, ['ramp', '100%']);
    await answerOf(db, ['seal']);
    const offline = ['--engine', engine, '--work', work];
    // Spark takes half a minute to start: it makes the proof, and DuckDB the lists too.
    const filled = await answerOf(db, ['backfill', ...(engine === 'spark' ? [] : offline)]);
    expect(filled).toMatchObject({ ok: true, backfill: { adopted: ROWS } });
    expect(filled.verify).toMatchObject([
      { byValue: false, missing: 0, identities: ROWS },
      { byValue: true, different: 0, identities: ROWS },
    ]);
    expect(await answerOf(db, ['verify', '--by-value', ...offline])).toMatchObject({
      phase: 'verified',
      verify: [{ engine, identities: ROWS }],
    });

    await query(db, "update customers_v2 set email = 'wrong' where customer_id = 7");
    await query(db, 'delete from customers_v2 where customer_id = 8');
    await query(db, "insert into customers_v2 values (9000, 'nobody')");
    const wrong = await answerOf(db, ['verify', '--by-value', ...offline], 6);
    expect(wrong.verify).toMatchObject([{ missing: 1, extra: 1, different: 1 }]);
    expect(new Set(wrong.verify?.[0]?.examples)).toEqual(
      new Set([
        { identity: '7', kind: 'different', columns: ['email'] },
        { identity: '8', kind: 'missing', columns: [] },
        { identity: '9000', kind: 'extra', columns: [] },
      ]),
    );
    // Snapshots hold rows of people: none is left behind.
    expect(readdirSync(work)).toEqual([]);
  },
  900_000,
);
