/**
 * The whole life of a remodel by the command line, forwards and back from every
 * phase, on a real PostgreSQL with an application at work on the table.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { PostgresRemodelStore } from '../../../src/adapters/postgres/index.ts';
import { type PostgresServer, startPostgres } from '../../servers/postgres.ts';
import { waitFor } from '../../servers/wait-for.ts';
import { subs } from './subscriptions.fixture.ts';
import { Application, answerOf, godwit, makeCustomers, peopleIn, poolOf, refusalOf, statusOf } from './world.ts';

const ROWS = 600;
let server: PostgresServer;
let work: string;

beforeAll(async () => {
  server = await startPostgres({ fsync: false });
  work = mkdtempSync(join(tmpdir(), 'godwit-remodel-'));
});
afterAll(async () => {
  await server?.stop();
  rmSync(work, { recursive: true, force: true });
});

async function query(db: string, text: string): Promise<readonly Record<string, unknown>[]> {
  const client = new pg.Client(db);
  await client.connect();
  try {
    return (await client.query(text)).rows;
  } finally {
    await client.end();
  }
}

/** An application under which a test runs; its beliefs are compared at the end. */
async function underLoad(db: string, work: (application: Application) => Promise<void>): Promise<void> {
  const application = await Application.start(db, ROWS / 2);
  try {
    await work(application);
  } finally {
    await application.stop();
  }
  expect(application.stale).toEqual([]);
  expect(application.writes).toBeGreaterThan(0);
}

async function expectBeliefs(db: string, { beliefs }: Application, where: 'new' | 'old'): Promise<void> {
  const people = await peopleIn(db, where);
  for (const [id, person] of beliefs) expect([id, people.get(id)]).toEqual([id, person]);
}

/** The commands from `created` to a phase, with what is to be true for each. */
const WAY: readonly (readonly [string, readonly (readonly string[])[]])[] = [
  ['dual', [['ramp', '100%']]],
  ['sealed', [['seal']]],
  ['backfilling', [['backfill']]],
  ['verified', [['verify', '--by-value']]],
  ['reads', [['reads', '100%', '--min-shadow', '0']]],
  ['new-only', [['contract']]],
  ['trapped', [['retire', '--trap', 'record', '--cycle', '0s']]],
];

async function climb(db: string, to: string): Promise<void> {
  for (const [phase, commands] of WAY) {
    for (const words of commands) await answerOf(db, words);
    expect((await statusOf(db)).phase).toBe(phase);
    if (phase === to) return;
  }
}

test('a command killed after it set its trap, or took it away, is repeated', async () => {
  const db = await server.createDatabase();
  await makeCustomers(db, ROWS);
  await answerOf(db, ['create', '--samples', '5']);
  await climb(db, 'new-only');
  const pool = poolOf(db, 2);
  try {
    const store = new PostgresRemodelStore({ pool });
    await store.trap(subs, 'record');
    await goes(['retire', '--trap', 'record', '--cycle', '0s'], 'trapped');
    await store.untrap(subs);
    await goes(['rollback', '--to', 'new-only'], 'new-only');
  } finally {
    await pool.end();
  }

  async function goes(words: readonly string[], phase: string): Promise<void> {
    expect(await answerOf(db, words)).toMatchObject({ phase });
    expect(JSON.stringify((await answerOf(db, ['doctor'])).findings)).not.toContain('shape');
  }
});

test('a whole life, from draft to retired', async () => {
  const db = await server.createDatabase();
  await makeCustomers(db, ROWS);

  expect((await answerOf(db, ['check', '--samples', '10'])).check).toMatchObject({ madeUpRows: 1_000, realRows: 200 });
  expect((await statusOf(db)).phase).toBe('draft');
  const plan = await answerOf(db, ['create', '--dry-run']);
  expect(plan.would?.join('\n')).toMatch(/create table "customers_v2"/);
  expect((await query(db, "select to_regclass('customers_v2') as t"))[0]).toEqual({ t: null });

  const created = await answerOf(db, ['create', '--samples', '20']);
  expect(created.impact).toMatchObject({ samples: 20 });
  expect(created.impact?.dualLogBytes).toBeGreaterThan(created.impact?.plainLogBytes as number);
  expect(await answerOf(db, ['create'])).toMatchObject({ already: true, phase: 'created' });

  let last: Application | undefined;
  await underLoad(db, async (application) => {
    last = application;
    expect(await answerOf(db, ['ramp', '5%'])).toMatchObject({ phase: 'dual' });
    expect(await refusalOf(db, ['seal'])).toBe('GW6003');
    expect((await answerOf(db, ['seal', '--dry-run'], 6)).gates).toContainEqual(
      expect.objectContaining({ name: 'the ramp is at 100 %', holds: false, measured: '5 %' }),
    );
    await answerOf(db, ['ramp', 'auto', '--soak', '200ms', '--samples', '5', '--latency-limit', '100']);
    expect((await statusOf(db)).control).toMatchObject({ ramp: 10_000 });
    expect(await answerOf(db, ['seal'])).toMatchObject({ phase: 'sealed' });

    const filled = await answerOf(db, ['backfill', '--chunk', '50']);
    expect(filled.backfill?.adopted).toBeGreaterThan(ROWS / 10);
    expect(filled.verify).toMatchObject([
      { byValue: false, missing: 0 },
      { byValue: true, missing: 0, extra: 0, different: 0 },
    ]);
    const again = await answerOf(db, ['backfill']);
    expect(again.backfill).toMatchObject({ listed: 0, adopted: 0 });

    expect(await answerOf(db, ['verify'])).toMatchObject({ phase: 'verified' });
    await answerOf(db, ['reads', 'shadow', '100%']);
    await answerOf(db, ['reads', '10%']);
    expect(await answerOf(db, ['reads', '100%'])).toMatchObject({ phase: 'reads' });
    expect(await answerOf(db, ['contract'])).toMatchObject({ phase: 'new-only' });
    expect(await answerOf(db, ['retire', '--trap', 'record', '--cycle', '1h'])).toMatchObject({ phase: 'trapped' });
  });
  await expectBeliefs(db, last as Application, 'new');

  await query(db, "set application_name = 'monthly-report'; select count(*) from customers");
  expect(JSON.stringify((await answerOf(db, ['doctor'])).findings)).toContain('monthly-report');
  expect(await refusalOf(db, ['retire', '--confirm', 'customers'])).toBe('GW6003');
  expect(await refusalOf(db, ['retire', '--cycle', '0s'])).toBe('GW1005');
  const retired = await answerOf(db, ['retire', '--confirm', 'customers', '--cycle', '0s', '--work', work]);
  expect(retired.phase).toBe('retired');
  expect(existsSync(retired.file as string)).toBe(true);
  expect((await query(db, "select to_regclass('customers') as t"))[0]).toEqual({ t: null });
  await expectBeliefs(db, last as Application, 'new');
  expect(await answerOf(db, ['retire', '--confirm', 'customers'])).toMatchObject({ already: true });
  expect((await statusOf(db)).phase).toBe('retired');
});

describe('back', () => {
  test.each(WAY.map(([phase]) => phase))('from %s to created, with nothing lost', async (phase) => {
    const db = await server.createDatabase();
    await makeCustomers(db, ROWS);
    await answerOf(db, ['create', '--samples', '5']);
    let last: Application | undefined;
    await underLoad(db, async (application) => {
      last = application;
      await climb(db, phase);
      const { writes } = application;
      await waitFor(async () => application.writes > writes + 50, { timeoutMs: 20_000, what: 'some writes' });
      const back = await answerOf(db, ['rollback', '--to', 'created']);
      expect(back).toMatchObject({ phase: 'created' });
      expect(back.released).toBeGreaterThan(0);
      const after = application.writes;
      await waitFor(async () => application.writes > after + 50, { timeoutMs: 20_000, what: 'some more writes' });
      expect((await statusOf(db)).backlog).toMatchObject({ owned: 0, tombstones: 0, quarantined: 0 });
    });
    await expectBeliefs(db, last as Application, 'old');
    expect(await answerOf(db, ['rollback'])).toMatchObject({ phase: 'draft' });
    expect((await query(db, "select to_regclass('customers_v2') as t"))[0]).toEqual({ t: null });
    // The next life does not stumble over the history of this one.
    expect(await answerOf(db, ['create', '--samples', '5'])).toMatchObject({ phase: 'created', already: false });
    expect((await answerOf(db, ['doctor'])).ok).toBe(true);
  });
});

test('what must stop it stops it, and says why', async () => {
  const db = await server.createDatabase();
  await makeCustomers(db, 50);
  expect(await refusalOf(db, ['ramp', '5%'])).toBe('GW1004');
  await answerOf(db, ['create', '--samples', '5']);
  expect(await refusalOf(db, ['contract'])).toBe('GW1004');
  expect(await refusalOf(db, ['ramp', '101%'])).toBe('GW1001');

  await query(db, 'alter table customers add column extra text');
  expect(await refusalOf(db, ['ramp', '5%'])).toBe('GW6004');
  expect(await refusalOf(db, ['doctor'])).toBe('ok: false');
  expect((await answerOf(db, ['doctor', '--accept-shape'])).ok).toBe(true);
  expect(await answerOf(db, ['ramp', '5%'])).toMatchObject({ phase: 'dual' });

  await query(db, 'alter table customers disable trigger user');
  expect(await refusalOf(db, ['ramp', '10%'])).toMatch(/GW600[34]/);
  const sick = await answerOf(db, ['doctor'], 6);
  expect(sick.findings).toContainEqual(expect.objectContaining({ check: 'guard', severity: 'error' }));
  // Down is always possible.
  expect(await answerOf(db, ['ramp', '0%'])).toMatchObject({ phase: 'dual' });
});

test('people see the same as programs, and the connection string never', async () => {
  const db = await server.createDatabase();
  await makeCustomers(db, 50);
  await answerOf(db, ['create', '--samples', '5']);
  await answerOf(db, ['ramp', '100%']);
  const password = new URL(db).password;
  for (const words of [
    ['status'],
    ['seal', '--dry-run'],
    ['doctor'],
    ['verify'],
    ['ramp', '101%'],
    ['status', '--json'],
  ]) {
    const said = await godwit(db, words);
    expect(said.out + said.err).not.toContain(password);
  }
  const { out } = await godwit(db, ['status']);
  expect(out).toMatch(/subs {2}dual/);
  expect(out).toMatch(/ramp .* 100 %/);
  expect(out).toMatch(/to sealed\n {2}✓ the ramp is at 100 %/);
  expect(out).toMatch(/created → dual/);
});

test('init writes a beginning that loads once the gaps are filled', async () => {
  const db = await server.createDatabase();
  await makeCustomers(db, 1);
  const file = join(work, 'migration.ts');
  expect(await answerOf(db, ['init', '--table', 'customers', '--out', file])).toMatchObject({ file });
  const text = readFileSync(file, 'utf8');
  expect(text).toContain("from: pgTable('customers', {");
  expect(text).toContain('subAmount: numeric().nullable(),');
  expect(text).toContain("key: 'customerId'");
  expect(await refusalOf(db, ['init', '--table', 'customers', '--out', file])).toBe('GW1001');
  expect(await refusalOf(db, ['init', '--table', 'nothing', '--out', join(work, 'other.ts')])).toBe('GW1001');
});
