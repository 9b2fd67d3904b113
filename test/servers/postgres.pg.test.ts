import pg from 'pg';
import { expect, test } from 'vitest';
import { startPostgres } from './postgres.ts';

async function ask(uri: string, sql: string): Promise<unknown> {
  const client = new pg.Client(uri);
  await client.connect();
  try {
    return (await client.query(sql)).rows[0];
  } finally {
    await client.end();
  }
}

test('a server of its own: databases, a crash without a loss, nothing left behind', async () => {
  const server = await startPostgres();
  try {
    expect(await ask(server.uri, 'show fsync')).toEqual({ fsync: 'on' });
    await ask(server.uri, 'create table t(a int)');
    await ask(server.uri, 'insert into t values (7)');
    await server.restart();
    expect(await ask(server.uri, 'select a from t')).toEqual({ a: 7 });
    const other = await server.createDatabase();
    expect(await ask(other, "select to_regclass('t') as t")).toEqual({ t: null });
  } finally {
    await server.stop();
  }
  await expect(ask(server.uri, 'select 1')).rejects.toThrow();
});
