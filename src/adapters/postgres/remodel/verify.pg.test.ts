import { createReadStream, mkdtempSync } from 'node:fs';
import { readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type PostgresServer, startPostgres } from '../../../../test/servers/postgres.ts';
import { waitFor } from '../../../../test/servers/wait-for.ts';
import type { Control, Mismatch } from '../../../kernel/remodel/index.ts';
import { bulkModel, fillOld } from './fixtures/bulk-model.ts';
import { installTraffic, Traffic } from './fixtures/traffic.ts';
import { exportSnapshot } from './snapshot-export.ts';
import { PostgresRemodelStore } from './store.ts';
import { verify } from './verify.ts';

const ROWS = 2_000;
const never = new AbortController().signal;
const model = bulkModel('proof');
let server: PostgresServer;

beforeAll(async () => {
  server = await startPostgres({ fsync: false });
});
afterAll(() => server?.stop());

interface Place {
  readonly pool: pg.Pool;
  readonly store: PostgresRemodelStore;
}

/** Every row adopted. The new tables have types of their own, in which the same values look otherwise. */
async function inPlace(work: (place: Place) => Promise<void>): Promise<void> {
  const pool = new pg.Pool({ connectionString: await server.createDatabase(), max: 6 });
  pool.on('error', () => undefined);
  try {
    await fillOld(pool, 'proof', ROWS);
    await pool.query(`
      create table proof_customers_v2 (id bigint primary key, email text, seen_at timestamptz, score double precision,
        extra json, photo bytea);
      create table proof_subscriptions (uid uuid primary key, customer_id bigint not null, plan text not null,
        amount numeric not null);
      create index on proof_subscriptions (customer_id)`);
    const store = new PostgresRemodelStore({ pool });
    await store.create(model, 'hash');
    const { epoch } = (await store.control(model)) as Control;
    await store.change(model, epoch, { phase: 'dual', ramp: 10_000 }, 'test', {});
    for await (const batch of batches(ROWS)) await store.adopt(model, batch);
    await work({ pool, store });
  } finally {
    await pool.end();
  }
}

function* batches(rows: number): Generator<string[]> {
  for (let n = 1; n <= rows; n += 500) yield Array.from({ length: 500 }, (_, i) => String(n + i));
}

const proof = (pool: pg.Pool) => verify(pool, model, { byValue: true, signal: never });

test('20 proofs under writes and a relay that shuffles: no false alarm; afterwards the injected fault is found', () =>
  inPlace(async ({ pool, store }) => {
    await installTraffic(pool, 'proof');
    const traffic = new Traffic(pool, store, model, ROWS);
    traffic.start();
    let pending = 0;
    try {
      for (let n = 0; n < 20; n += 1) {
        const before = traffic.writes;
        const found = await proof(pool);
        expect(found).toMatchObject({ missing: 0, extra: 0, different: 0, examples: [] });
        expect(found.identities).toBeGreaterThanOrEqual(ROWS - traffic.deletes);
        pending += found.pending;
        await traffic.more(before);
      }
    } finally {
      await traffic.stop();
    }
    // It was under fire: the snapshots did cut through changes on their way.
    expect(pending).toBeGreaterThan(0);
    expect(traffic.deletes).toBeGreaterThan(0);
    await traffic.drain();
    expect(await proof(pool)).toMatchObject({ pending: 0, missing: 0, extra: 0, different: 0 });
    const { rows } = await pool.query('select id::text as id from proof_customers_v2 order by id limit 1 offset 700');
    await pool.query("update proof_customers_v2 set email = email || '!' where id = $1", [rows[0].id]);
    expect((await proof(pool)).examples).toEqual([{ identity: rows[0].id, kind: 'different', columns: ['email'] }]);
  }));

const FAULTS: readonly (readonly [string, string, Mismatch['kind'], readonly string[]])[] = [
  ['wrong amount', 'update proof_customers set amount = amount + 0.01 where id = 10', 'different', ['amount']],
  ['wrong in the new model', "update proof_subscriptions set plan = 'x' where customer_id = 10", 'different', ['plan']],
  ['missing', 'delete from proof_customers_v2 where id = 10', 'missing', []],
  ['extra', 'delete from proof_customers where id = 10', 'extra', []],
  [
    'rows without a root',
    'delete from proof_customers where id = 10; delete from proof_customers_v2 where id = 10',
    'extra',
    [],
  ],
  ['stale', "update proof_customers c set email = 'before', score = 1 where id = 10", 'different', ['email', 'score']],
  ["'' for NULL", "update proof_customers_v2 set photo = '' where id = 10", 'different', ['photo']],
  [
    "NULL for ''",
    "update proof_customers set email = '' where id = 10; update proof_customers_v2 set email = null where id = 10",
    'different',
    ['email'],
  ],
  [
    'a text that reads NULL',
    "update proof_customers set email = '\\N' where id = 10; update proof_customers_v2 set email = null where id = 10",
    'different',
    ['email'],
  ],
  [
    'another JSON type',
    `update proof_customers_v2 set extra = '{"n": "10", "note": "a\\tb"}' where id = 10`,
    'different',
    ['extra'],
  ],
  [
    '-0 for 0',
    "update proof_customers set score = 0 where id = 10; update proof_customers_v2 set score = '-0' where id = 10",
    'different',
    ['score'],
  ],
  ['a millisecond', "update proof_customers set seen_at = seen_at + '1 ms' where id = 10", 'different', ['seenAt']],
  [
    'a row too few in the list',
    'delete from proof_subscriptions where customer_id = 10',
    'different',
    ['plan', 'amount'],
  ],
  [
    'resurrected',
    `insert into godwit.tombstone (remodel, identity) values ('proof', '10');
     delete from proof_customers_v2 where id = 10; delete from proof_subscriptions where customer_id = 10`,
    'resurrected',
    [],
  ],
];

test('every kind of fault is found, and nothing else; what is on its way or in quarantine is left out', () =>
  inPlace(async ({ pool }) => {
    await pool.query('alter table proof_customers disable trigger all');
    const clean = { missing: 0, extra: 0, different: 0, pending: 0, examples: [], identities: ROWS };
    expect(await proof(pool)).toMatchObject(clean);
    await pool.query(
      'create table kept_old as table proof_customers; create table kept_new as table proof_customers_v2',
    );
    await pool.query('create table kept_list as table proof_subscriptions');
    for (const [what, sql, kind, columns] of FAULTS) {
      await pool.query(sql);
      const found = await proof(pool);
      expect(found.examples, what).toEqual([{ identity: '10', kind, columns }]);
      expect(found.missing + found.extra + found.different, what).toBe(1);
      for (const table of ['outbox (remodel, identity)', 'quarantine (reason, remodel, identity)']) {
        const [name] = table.split(' ');
        await pool.query(`insert into godwit.${table} values (${name === 'outbox' ? '' : "'r', "}'proof', '10')`);
        expect(await proof(pool), what).toMatchObject({ missing: 0, extra: 0, different: 0, pending: 1 });
        await pool.query(`delete from godwit.${name}`);
      }
      if (kind !== 'different') {
        const present = await verify(pool, model, { byValue: false, signal: never });
        // Presence looks at roots only.
        expect(present.examples, what).toEqual(what === 'rows without a root' ? [] : found.examples);
      }
      for (const [table, kept] of [
        ['customers', 'old'],
        ['customers_v2', 'new'],
        ['subscriptions', 'list'],
      ])
        await pool.query(`truncate proof_${table}; insert into proof_${table} table kept_${kept}`);
      await pool.query('delete from godwit.tombstone');
    }
    expect(await proof(pool)).toMatchObject(clean);
  }));

test('the same values in other texts are no difference; an inverse that throws is one', () =>
  inPlace(async ({ pool }) => {
    await pool.query('alter table proof_customers disable trigger all');
    await pool.query(`update proof_subscriptions set amount = 10.5000 where customer_id = 10;
      update proof_customers set amount = 10.5 where id = 10;
      update proof_customers_v2 set extra = '{"b":[1,  2],"a":1e2}' where id = 11;
      update proof_customers set extra = '{"a": 100, "b": [1, 2]}' where id = 11;
      update proof_customers_v2 set seen_at = '2026-01-01 00:00:00.0004Z' where id = 12;
      update proof_customers set seen_at = '2026-01-01 00:00:00Z' where id = 12`);
    expect((await proof(pool)).examples).toEqual([]);
    await pool.query('alter table proof_customers alter amount type numeric');
    await pool.query('update proof_customers set amount = 10.50 where id = 10');
    expect((await proof(pool)).examples).toEqual([]);
    const broken = {
      ...model,
      down: (state: Parameters<typeof model.down>[0]) => {
        if (state['customer']?.[0]?.['id'] === 13n) throw new Error('cannot');
        return model.down(state);
      },
    };
    expect((await verify(pool, broken, { byValue: true, signal: never })).examples).toEqual([
      { identity: '13', kind: 'different', columns: [] },
    ]);
  }));

test('stops when told to, and leaves no connection', () =>
  inPlace(async ({ pool }) => {
    const stop = new AbortController();
    const running = verify(pool, model, { byValue: true, signal: stop.signal });
    stop.abort();
    await expect(running).rejects.toMatchObject({ code: 'GW8001' });
    await expect(verify(pool, model, { byValue: true, signal: stop.signal })).rejects.toMatchObject({ code: 'GW8001' });
    const open = `select count(*)::int as n from pg_stat_activity where datname = current_database()
      and pid <> pg_backend_pid() and xact_start is not null and backend_type = 'client backend'`;
    const isOver = async () => (await pool.query<{ n: number }>(open)).rows[0]?.n === 0;
    await waitFor(isOver, { timeoutMs: 10_000, what: 'the end of its transactions' });
  }));

test('a comparison reads no more identities a second than it was told to, and finds the same', () =>
  inPlace(async ({ pool }) => {
    // A line of CSV is not a row.
    await pool.query(`update proof_customers set email = E'a\n"b\n' where id % 2 = 0;
      update proof_customers_v2 set email = E'a\n"b\n' where id % 2 = 0 and id > 2;
      delete from godwit.dirty`);
    const folder = mkdtempSync(join(tmpdir(), 'godwit-export-'));
    try {
      const slow = { byValue: true, maxRate: 2_000, signal: never };
      const found = await verify(pool, model, slow);
      expect(found).toMatchObject({ identities: ROWS, different: 1 });
      expect(found.durationMs).toBeGreaterThan((ROWS / 2_000) * 500);
      const began = performance.now();
      const { oldFile } = await exportSnapshot(pool, model, folder, slow);
      expect(performance.now() - began).toBeGreaterThan((ROWS / 2_000) * 500);
      const file = await readFile(oldFile);
      await exportSnapshot(pool, model, folder, { byValue: true, signal: never });
      expect(file.equals(await readFile(oldFile))).toBe(true);
    } finally {
      await rm(folder, { recursive: true });
    }
  }));

test('an exported snapshot holds the same on both sides, byte for byte, and shows a fault', () =>
  inPlace(async ({ pool, store }) => {
    await pool.query(`update proof_subscriptions set amount = 10.5000 where customer_id = 10;
      update proof_customers_v2 set extra = '{"b":[1,  2],"a":1e2, "q": "say \\"x\\", y"}' where id = 11;
      update proof_customers_v2 set email = '' where id = 12; update proof_customers_v2 set email = null where id = 14;
      insert into godwit.outbox (remodel, identity) select 'proof', n::text from generate_series(10, 14) n`);
    while ((await store.relay(model, 100)).more);
    await pool.query(`insert into godwit.outbox (remodel, identity) values ('proof', '20'), ('proof', '21');
      insert into godwit.quarantine (remodel, identity, reason) values ('proof', '21', 'r');
      insert into godwit.tombstone (remodel, identity) values ('proof', '9999')`);
    const folder = mkdtempSync(join(tmpdir(), 'godwit-export-'));
    try {
      const made = await exportSnapshot(pool, model, folder, { byValue: true, signal: never });
      expect(made.columns).toEqual(Object.keys(model.from.columns));
      const [old, news] = [await linesOf(made.oldFile), await linesOf(made.newFile)];
      expect(old[0]).toBe('k,c0,c1,c2,c3,c4,c5,c6,c7');
      expect(old).toHaveLength(ROWS + 1);
      expect(news.toSorted()).toEqual(old.toSorted());
      expect(old.find((line) => line.startsWith('"12",'))).toMatch(/^"12","12","",/);
      expect(old.find((line) => line.startsWith('"14",'))).toMatch(/^"14","14",,/);
      expect(old.find((line) => line.startsWith('"11",'))).toContain('""say \\""x\\"", y""');
      expect((await linesOf(made.pendingFile)).toSorted()).toEqual(['"20"', '"21"', 'k']);
      expect(await linesOf(made.tombstoneFile)).toEqual(['k', '"9999"']);

      // Rows of a list without a root: of nobody, and of somebody whose root is missing.
      await pool.query(`update proof_customers_v2 set email = 'wrong' where id = 30;
        insert into proof_subscriptions values (gen_random_uuid(), 7777, 'gold', 1);
        delete from proof_customers_v2 where id = 31`);
      const again = await exportSnapshot(pool, model, folder, { byValue: true, signal: never });
      const lines = await linesOf(again.newFile);
      expect(lines.filter((line) => !old.includes(line)).toSorted()).toEqual([
        expect.stringMatching(/^"30","30","wrong",/),
        expect.stringContaining('"7777","\u0001unreadable",'),
      ]);
      expect(lines.filter((line) => line.startsWith('"31",'))).toEqual([]);
      const keys = await exportSnapshot(pool, model, folder, { byValue: false, signal: never });
      expect(keys.columns).toEqual([]);
      expect((await linesOf(keys.newFile)).slice(0, 2)).toEqual(['k', '"1"']);
    } finally {
      await rm(folder, { recursive: true });
    }
  }));

async function linesOf(file: string): Promise<string[]> {
  const lines: string[] = [];
  for await (const line of createInterface({ input: createReadStream(file) })) lines.push(line);
  return lines;
}
