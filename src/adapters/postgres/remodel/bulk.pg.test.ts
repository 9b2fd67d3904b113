import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type PostgresServer, startPostgres } from '../../../../test/servers/postgres.ts';
import {
  type Control,
  childId,
  defineMigration,
  integer,
  json,
  type Model,
  pgTable,
  type Row,
  text,
  uuid,
} from '../../../kernel/remodel/index.ts';
import { underLocks } from './bulk-chunk.ts';
import { adoptChunkByCopy } from './bulk-copy.ts';
import { adoptChunkBySql } from './bulk-sql.ts';
import { onPg } from './executor.ts';
import { bulkModel, fillOld } from './fixtures/bulk-model.ts';
import { installTraffic, Traffic } from './fixtures/traffic.ts';
import { PostgresRemodelStore } from './store.ts';
import { loadTables } from './tables.ts';

const ROWS = 1_500;
const never = new AbortController().signal;
const LANES = [
  ['SQL', bulkModel('bulk', { sql: true })],
  ['COPY', bulkModel('bulk')],
] as const;
let server: PostgresServer;

beforeAll(async () => {
  server = await startPostgres({ fsync: false });
});
afterAll(() => server?.stop());

interface Place {
  readonly pool: pg.Pool;
  readonly store: PostgresRemodelStore;
}

async function inPlace(
  model: Model,
  fill: (pool: pg.Pool) => Promise<unknown>,
  work: (p: Place) => Promise<void>,
): Promise<void> {
  const pool = new pg.Pool({ connectionString: await server.createDatabase(), max: 8 });
  pool.on('error', () => undefined);
  try {
    await fill(pool);
    const store = new PostgresRemodelStore({ pool });
    await store.create(model, 'hash');
    const { epoch } = (await store.control(model)) as Control;
    await store.change(model, epoch, { phase: 'backfilling', ramp: 10_000 }, 'test', {});
    await work({ pool, store });
  } finally {
    await pool.end();
  }
}

const keys = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => String(from + i));
const proof = (store: PostgresRemodelStore, model: Model) => store.verify(model, { byValue: true, signal: never });
const CLEAN = { pending: 0, missing: 0, extra: 0, different: 0, examples: [] };

/** Both new tables as text. */
async function contents(pool: pg.Pool): Promise<string> {
  const { rows } = await pool.query(`
    select (select json_agg(c order by id) from bulk_customers_v2 c)::text as roots,
           (select json_agg(s order by customer_id) from bulk_subscriptions s)::text as lists`);
  return JSON.stringify(rows);
}

describe.each(LANES)('the %s lane', (_, model) => {
  const fill = (pool: pg.Pool) => fillOld(pool, 'bulk', ROWS);

  test('does what one by one does, ids and all', () =>
    inPlace(model, fill, async ({ pool, store }) => {
      // Few at a time: that is `up` and INSERT, without a lane.
      const plain = new PostgresRemodelStore({ pool });
      const slow = bulkModel('bulk');
      for (let n = 1; n <= ROWS; n += 15) await plain.adopt(slow, keys(n, Math.min(n + 14, ROWS)));
      const wanted = await contents(pool);
      await pool.query('truncate bulk_customers_v2, bulk_subscriptions');
      const tables = await loadTables(onPg(pool), model);
      const lane = model.sql ? adoptChunkBySql : adoptChunkByCopy;
      expect(await underLocks({ pool, prepare: true }, tables, keys(1, ROWS + 10), lane)).toEqual({
        adopted: ROWS,
        refused: [],
      });
      expect(await contents(pool)).toBe(wanted);
      expect(await proof(store, model)).toMatchObject({ ...CLEAN, identities: ROWS });
      expect(await store.adopt(model, keys(1, ROWS))).toEqual({ adopted: 0, quarantined: 0 });
    }));

  test('leaves out what is owned, deleted, set aside or being written; forgets writes that it has read', () =>
    inPlace(model, fill, async ({ pool, store }) => {
      await store.adopt(model, ['1']);
      await pool.query("update bulk_customers_v2 set email = 'newer' where id = 1");
      await pool.query(`insert into godwit.tombstone (remodel, identity) values ('bulk', '2');
        insert into godwit.quarantine (remodel, identity, reason) values ('bulk', '3', 'r');
        update bulk_customers set email = 'past the library' where id = 5`);
      const writer = await pool.connect();
      try {
        await writer.query('begin');
        const entered = await store.enter(model, writer, '4');
        expect(entered.owner).toBe('adopt');
        expect(await store.adopt(model, keys(1, 100))).toEqual({ adopted: 96, quarantined: 0 });
        await entered.adopt(model.up((await entered.readOld()) as Row));
        await entered.patchNew('customer', undefined, { email: 'writer' });
        await writer.query('commit');
      } finally {
        writer.release();
      }
      const { rows } = await pool.query('select id::int, email from bulk_customers_v2 where id < 6 order by id');
      expect(rows).toEqual([
        { id: 1, email: 'newer' },
        { id: 4, email: 'writer' },
        { id: 5, email: 'past the library' },
      ]);
      expect((await store.backlog(model)).dirty).toBe(0);
    }));

  test('what a new table refuses is set aside alone, and stops nothing', () =>
    inPlace(model, fill, async ({ pool, store }) => {
      await pool.query("alter table bulk_customers_v2 add check (email !~ '^someone(7|700)@')");
      await pool.query("alter table bulk_subscriptions add check (plan <> 'plan-1' or customer_id <> 100)");
      expect(await store.adopt(model, keys(1, ROWS))).toEqual({ adopted: ROWS - 3, quarantined: 3 });
      const { rows } = await pool.query('select identity from godwit.quarantine order by identity');
      expect(rows.map(({ identity }) => identity)).toEqual(['100', '7', '700']);
      const { rows: left } = await pool.query('select 1 from bulk_subscriptions where customer_id in (7, 100, 700)');
      expect(left).toEqual([]);
    }));

  test('beside writers, a relay and deletes nothing is lost or comes back', () =>
    inPlace(model, fill, async ({ pool, store }) => {
      await pool.query('alter table bulk_customers_v2 alter extra type json');
      await installTraffic(pool, 'bulk');
      const traffic = new Traffic(pool, store, model, ROWS);
      traffic.start();
      try {
        for (let n = 1; n <= ROWS; n += 100) {
          const before = traffic.writes;
          await Promise.all([store.adopt(model, keys(n, n + 99)), store.adopt(model, keys(n + 50, n + 149))]);
          await traffic.more(before);
        }
      } finally {
        await traffic.stop();
      }
      await traffic.drain();
      await store.adopt(model, keys(1, ROWS));
      expect(await proof(store, model)).toMatchObject(CLEAN);
      const { rows } = await pool.query(
        'select 1 from bulk_customers_v2 join godwit.tombstone on identity = id::text limit 1',
      );
      expect(rows).toEqual([]);
    }));

  test('before the new model may own anything, nothing is adopted', () =>
    inPlace(model, fill, async ({ store, pool }) => {
      await pool.query("update godwit.remodel set phase = 'created'");
      await expect(store.adopt(model, keys(1, 100))).rejects.toMatchObject({ code: 'GW1004' });
    }));
});

const NASTY = [
  '',
  ' ',
  'NULL',
  'null',
  '"',
  '\\',
  '\\N',
  'a,b',
  '{}',
  '{a}',
  "it's",
  'tab\tline\nback\\n',
  'é',
  '💶',
  '$1',
  '-',
];

/** Keys and values that break formats; a list whose rows the SQL counts; further rows kept as JSON. */
function nastyModel(sql: boolean): Model {
  const columns = { name: text(), one: text().nullable(), two: text().nullable(), rest: json().nullable() };
  return defineMigration({
    name: 'nasty',
    key: 'name',
    from: pgTable('nasty_old', columns),
    to: {
      thing: pgTable('nasty_things', { name: text(), two: text().nullable() }),
      part: pgTable('nasty_parts', { id: uuid(), name: text(), n: integer(), what: text() }, { many: true }),
    },
    up: (old) => ({
      thing: { name: old.name, two: old.two },
      part: old.one === null ? [] : [{ name: old.name, n: 1, what: old.one }],
    }),
    down: ({ thing, part: [part] }) => ({ ...thing, one: part?.what ?? null, rest: null }),
    inverse: {
      policy: 'overflow',
      choose: (rows) => rows.find(({ n }) => n === 1) ?? (rows[0] as Row),
      column: 'rest',
    },
    ...(sql
      ? {
          sql: {
            up: {
              thing: 'select name, two from old',
              part: 'select name, 1 as n, one as what, 0 as slot from old where one is not null;',
            },
          },
        }
      : {}),
  }) as Model;
}

describe.each([true, false])('nasty keys and values, by SQL %s', (bySql) => {
  test('cross without a change, with the ids that everybody derives', () => {
    const model = nastyModel(bySql);
    const fill = async (pool: pg.Pool) => {
      await pool.query('create table nasty_old (name text primary key, one text, two text, rest jsonb)');
      for (const [i, key] of [...NASTY, ...NASTY.map((each) => `${each}${each}x`)].entries())
        await pool.query('insert into nasty_old values ($1, $2, $3)', [
          key,
          NASTY[i % NASTY.length],
          NASTY[(i * 7) % NASTY.length],
        ]);
      await pool.query(`insert into nasty_old select 'plain ' || n from generate_series(1, 10) n`);
    };
    return inPlace(model, fill, async ({ pool, store }) => {
      const all = (await pool.query<{ name: string }>('select name from nasty_old')).rows.map(({ name }) => name);
      const tables = await loadTables(onPg(pool), model);
      // The lane itself: what it cannot do would be done one by one without a word.
      const done = await underLocks({ pool, prepare: true }, tables, all, bySql ? adoptChunkBySql : adoptChunkByCopy);
      expect(done).toEqual({ adopted: all.length, refused: [] });
      expect(await proof(store, model)).toMatchObject({ ...CLEAN, identities: all.length });
      const { rows } = await pool.query<{ id: string; name: string }>('select id, name from nasty_parts');
      expect(rows).toHaveLength(NASTY.length * 2);
      for (const { id, name } of rows) expect(id).toBe(childId('nasty', 'part', name, 0));
    });
  });

  test('further rows that the old table keeps as JSON come back with it', () => {
    const model = nastyModel(bySql);
    const fill = (pool: pg.Pool) =>
      pool.query(`create table nasty_old (name text primary key, one text, two text, rest jsonb);
        insert into nasty_old select 'k' || n, 'first' from generate_series(1, 50) n`);
    return inPlace(model, fill, async ({ pool, store }) => {
      const all = keys(1, 50).map((n) => `k${n}`);
      await store.adopt(model, all);
      await pool.query(`insert into nasty_parts select gen_random_uuid(), 'k7', n, 'more ' || n from generate_series(2, 3) n;
        insert into godwit.outbox (remodel, identity) values ('nasty', 'k7')`);
      const before = (await pool.query('select * from nasty_parts order by id')).rows;
      while ((await store.release(model, 100)) !== 0);
      expect((await pool.query('select 1 from nasty_parts')).rows).toEqual([]);
      expect(await store.adopt(model, all)).toEqual({ adopted: 50, quarantined: 0 });
      expect((await pool.query('select * from nasty_parts order by id')).rows).toEqual(before);
      expect(await proof(store, model)).toMatchObject(CLEAN);
    });
  });
});

describe('SQL that does not do what it must is told, not papered over', () => {
  const tryUp = (up: Record<string, string>) => {
    const right = bulkModel('bulk', { sql: true });
    const model: Model = { ...right, sql: { up: { ...right.sql?.up, ...up } } };
    return inPlace(
      model,
      (pool) => fillOld(pool, 'bulk', 100),
      async ({ pool, store }) => {
        await expect(store.adopt(model, keys(1, 100))).rejects.toMatchObject({ code: expect.stringMatching(/^GW500/) });
        const { rows } = await pool.query(`select (select count(*)::int from bulk_customers_v2) as roots,
        (select count(*)::int from bulk_subscriptions) as lists, (select count(*)::int from godwit.quarantine) as aside`);
        expect(rows).toEqual([{ roots: 0, lists: 0, aside: 0 }]);
      },
    );
  };
  const columns = 'email, seen_at, score, extra, photo';
  test.each([
    ['leaves rows out', { customer: `select id, ${columns} from old where id <> 50` }],
    ['takes another key', { customer: `select id + 1000 as id, ${columns} from old` }],
    ['has no key', { customer: `select ${columns} from old` }],
    ['has a column too many', { customer: `select id, plan, ${columns} from old` }],
    [
      'lacks one that may not be null',
      { subscription: 'select id as customer_id, plan from old where plan is not null' },
    ],
    ['is no SQL', { subscription: 'selekt' }],
  ])('%s', (_, up) => tryUp(up));
});
