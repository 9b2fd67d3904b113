/** The transactions that applications have: of pg, Kysely and Drizzle, with the real libraries. */
import { drizzle } from 'drizzle-orm/node-postgres';
import { Kysely, PostgresDialect, sql } from 'kysely';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type PostgresServer, startPostgres } from '../../../../test/servers/postgres.ts';
import {
  createSubs,
  inTransaction,
  legacyRead,
  newRead,
  type Operator,
  type Process,
  type Subs,
  startOperator,
  startProcess,
} from './fixtures/processes.ts';
import { subsMigration } from './fixtures/subs.ts';
import type { Godwit } from './index.ts';

let server: PostgresServer;
let operator: Operator;
beforeAll(async () => {
  server = await startPostgres({ fsync: false });
  operator = await startOperator(server.uri);
});
afterAll(async () => {
  await operator?.close();
  await server?.stop();
});

type Work = (tx: object) => Promise<unknown>;
const WAYS: Record<string, (app: Process) => (work: Work) => Promise<unknown>> = {
  pg: (app) => (work) => inTransaction(app.pool, work),
  kysely: (app) => {
    const db = new Kysely({ dialect: new PostgresDialect({ pool: app.pool }) });
    return (work) =>
      db.transaction().execute(async (tx) => {
        await sql`SELECT 1`.execute(tx);
        return work(tx);
      });
  },
  drizzle: (app) => {
    const db = drizzle(app.pool);
    return (work) =>
      db.transaction(async (tx) => {
        await tx.execute('SELECT 1');
        return work(tx);
      });
  },
};

describe.each(Object.keys(WAYS))('%s', (way) => {
  test.each([0, 10_000])('writes at a ramp of %i, commits and rolls back with its transaction', async (ramp) => {
    const model: Subs = subsMigration('overflow', `x${way}${ramp}`);
    await createSubs(operator, model, 4);
    await operator.change(model, { phase: 'dual', ramp });
    const app = await startProcess(server.uri, [model], { relay: false });
    try {
      const godwit = app.godwit as unknown as Godwit<object>;
      const run = (WAYS[way] as (typeof WAYS)[string])(app);
      const change = (tx: object) =>
        godwit.write(model, 2, tx, async (m) => {
          await m.customer.set({ email: `it's "é" \\ ${way}` });
          const [sub] = await m.subscription.list();
          await m.subscription.update(sub?.id as string, { amount: '12345678901234567890.10' });
          const tea = await m.subscription.insert({ plan: 'tea', amount: '1.50' });
          expect(await m.subscription.list()).toContainEqual(tea);
          return m.customer.get();
        });
      const failed = run(async (tx) => {
        await change(tx);
        throw new Error('the application thought better of it');
      });
      await expect(failed).rejects.toThrow('thought better');
      expect(await legacyRead(app.pool, model, 2)).toMatchObject({ email: 'c2@x' });
      expect(await newRead(app.pool, model, 2)).toBeNull();

      expect(await run(change)).toEqual({ customerId: 2n, email: `it's "é" \\ ${way}` });
      if (ramp > 0) expect(await newRead(app.pool, model, 2)).toMatchObject({ plans: ['gold', 'tea'] });
      const how = (tx: object) =>
        godwit.read(model, 2, { old: (row) => (row === undefined ? 'table' : row?.email), new: () => 'new' }, { tx });
      expect(await run(how)).toBe(ramp > 0 ? `it's "é" \\ ${way}` : 'table');
      await operator.store.relay(model, 10);
      expect(await legacyRead(app.pool, model, 2)).toMatchObject({ email: `it's "é" \\ ${way}` });
      const rows = await run((tx) => godwit.write(model, 2, tx, (m) => m.subscription.list()));
      expect(rows).toContainEqual(expect.objectContaining({ plan: 'tea', amount: '1.50' }));
      expect(rows).toContainEqual(expect.objectContaining({ plan: 'gold', amount: '12345678901234567890.10' }));
      await run((tx) => godwit.write(model, 2, tx, (m) => m.delete()));
      await operator.store.relay(model, 10);
      expect(await legacyRead(app.pool, model, 2)).toBeNull();
    } finally {
      await app.close();
    }
  });
});
