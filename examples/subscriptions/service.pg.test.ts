import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type PostgresServer, startPostgres } from '../../test/servers/postgres.ts';
import { fill } from './fill.ts';
import { History } from './load/history.ts';
import { Load } from './load/load.ts';
import { prove } from './proof.ts';
import { Fleet } from './services.ts';

let server: PostgresServer;
beforeAll(async () => {
  server = await startPostgres({ fsync: false });
});
afterAll(() => server?.stop());

test('the service before the move keeps its word under load and over a rolling restart; the proof finds what is done behind its back', async () => {
  const uri = await server.createDatabase();
  const client = new pg.Client({ connectionString: uri });
  await client.connect();
  const history = new History();
  await fill(client, 500, history);
  const fleet = new Fleet(uri);
  try {
    await fleet.start('before', 2);
    const load = new Load(history, { ports: fleet.ports, perSecond: 200, seed: 11 });
    load.start();
    await until(() => load.tally.reads > 200);
    const ports = fleet.ports;
    await fleet.replaceAll('before', load);
    expect(fleet.ports).not.toEqual(ports);
    await until(() => load.tally.reads > 600);
    // Under load: what is under way may be there or not, everything else must be.
    expect(await prove(client, history, load, 'old')).toMatchObject({ missing: 0, extra: 0, mismatched: 0 });
    await load.stop();
    expect(load.tally, fleet.complaints).toMatchObject({ failed: 0, stale: 0, wrong: 0 });
    const { rows } = await client.query('SELECT count(*)::int AS n FROM journal');
    expect(rows[0].n).toBe(load.tally.writes);

    const [one, two, three] = history.living;
    await client.query(
      'UPDATE customers SET sub_amount = 1, sub_plan = $2, sub_started = now() WHERE customer_id = $1',
      [one, 'x'],
    );
    await client.query('DELETE FROM customers WHERE customer_id = $1', [two]);
    await client.query(
      'INSERT INTO customers SELECT customer_id + 1000000, email, name FROM customers WHERE customer_id = $1',
      [three],
    );
    expect(await prove(client, history, load, 'old')).toMatchObject({ missing: 1, extra: 1, mismatched: 1 });
    await fleet.stop();
  } finally {
    await fleet.kill();
    await client.end();
  }
});

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((done) => setTimeout(done, 10));
}
