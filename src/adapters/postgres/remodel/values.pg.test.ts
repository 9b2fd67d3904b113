/** Every type with its extremes, through up, adoption, relay and release, under sessions that print everything differently. */
import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type PostgresServer, startPostgres } from '../../../../test/servers/postgres.ts';
import {
  bigint,
  boolean,
  bytes,
  date,
  defineMigration,
  float,
  integer,
  json,
  type Model,
  numeric,
  pgTable,
  type Row,
  text,
  timestamp,
  uuid,
} from '../../../kernel/remodel/index.ts';
import { PostgresRemodelStore } from './store.ts';

const never = new AbortController().signal;
const COLUMNS = {
  id: bigint(),
  t: text().nullable(),
  i: integer().nullable(),
  b: bigint().nullable(),
  n: numeric().nullable(),
  f: float().nullable(),
  yes: boolean().nullable(),
  at: timestamp().nullable(),
  local: timestamp().nullable(),
  day: date().nullable(),
  u: uuid().nullable(),
  j: json().nullable(),
  jb: json().nullable(),
  raw: bytes().nullable(),
};
const SQL_TYPES = `id bigint primary key, t text, i int, b bigint, n numeric, f float8, yes boolean, at timestamptz,
  local timestamp, day date, u uuid, j json, jb jsonb, raw bytea`;
const { id, ...rest } = COLUMNS;
const model: Model = defineMigration({
  name: 'nasty',
  key: 'id',
  from: pgTable('old_rows', COLUMNS),
  to: {
    root: pgTable('new_rows', { id, ...rest }),
    parts: pgTable('parts', { id, slot: integer() }, { many: true, id: 'slot' }),
  },
  up: (old) => ({ root: old, parts: [] }),
  down: ({ root }) => root,
  inverse: { policy: 'block' },
});

/** Each column's values, in the database's own words. */
const WORDS: readonly (readonly [column: string, values: readonly string[]])[] = [
  ['t', ['', ' ', 'NULL', `it''s`, '\\N', 'a\tb', 'line\nline', 'e\u0301', '\u00e9', '💶', '{"a",b}', '$1']],
  ['i', ['-2147483648', '2147483647', '0']],
  ['b', ['-9223372036854775808', '9223372036854775807', '9007199254740993']],
  [
    'n',
    ['0', '0.00', '1.10', '-0.05', '1e300', '1e-300', '12345678901234567890.123456789', 'NaN', 'Infinity', '-Infinity'],
  ],
  [
    'f',
    [
      '0',
      '-0',
      '0.1',
      '1e-323',
      '2.2250738585072014e-308',
      '1.7976931348623157e308',
      'NaN',
      'Infinity',
      '-Infinity',
      '0.30000000000000004',
    ],
  ],
  ['yes', ['true', 'false']],
  [
    'at',
    [
      'infinity',
      '-infinity',
      '2026-01-02 03:04:05.000006+00',
      '1969-12-31 23:59:59.999999+00',
      '4713-01-01 00:00:00+00 BC',
      '0001-01-01 00:00:00+00',
      '294276-12-31 23:59:59.999999+00',
      '2026-03-29 02:30:00+01',
      '12026-01-01 00:00:00+00',
    ],
  ],
  [
    'local',
    [
      'infinity',
      '-infinity',
      '2026-03-29 02:30:00',
      '2026-10-25 02:30:00.5',
      '0044-03-15 12:00:00 BC',
      '294276-12-31 23:59:59.999999',
    ],
  ],
  ['day', ['infinity', '-infinity', '4713-01-01 BC', '5874897-12-31', '2024-02-29', '0001-01-01']],
  ['u', ['00000000-0000-0000-0000-000000000000', 'ffffffff-ffff-ffff-ffff-ffffffffffff']],
  ['j', ['{"b":1,  "a":1, "a":2}', ' null ', '1.10', '12345678901234567890.0', '"\\u00e9"', '[1e400]']],
  ['jb', ['{"b":1, "a":[1.10, null]}', 'null', '1.10', '12345678901234567890.0', '"x"']],
  ['raw', ['', '\\x00', '\\xff000a5c27']],
];

let server: PostgresServer;
beforeAll(async () => {
  server = await startPostgres({ fsync: false });
});
afterAll(() => server?.stop());

/** Rows as text that tells any two values apart; read by a session with the server's defaults. */
async function dump(pool: pg.Pool, table: string): Promise<readonly string[]> {
  const columns = Object.keys(COLUMNS).map((name) => (name === 'f' ? `encode(float8send(f), 'hex')` : `${name}::text`));
  const { rows } = await pool.query<{ line: string }>(
    `select json_build_array(${columns.join(', ')})::text as line from ${table} order by id`,
  );
  return rows.map(({ line }) => line);
}

const SESSIONS = [
  {},
  {
    TimeZone: 'America/St_Johns',
    DateStyle: 'SQL, DMY',
    extra_float_digits: '-10',
    bytea_output: 'escape',
    IntervalStyle: 'sql_standard',
  },
  {
    TimeZone: 'Europe/Berlin',
    DateStyle: 'German',
    extra_float_digits: '0',
    default_transaction_isolation: 'serializable',
  },
] as const;

test.each(SESSIONS)('values come back to the byte: %o', async (settings) => {
  const uri = await server.createDatabase();
  const plain = new pg.Pool({ connectionString: uri });
  plain.on('error', () => undefined);
  const options = Object.entries(settings)
    .map(([name, value]) => `-c ${name}=${value.replaceAll(' ', '\\ ')}`)
    .join(' ');
  const pool = new pg.Pool({ connectionString: uri, options });
  pool.on('error', () => undefined);
  for (const each of [plain, pool]) each.on('connect', (client) => client.on('error', () => undefined));
  try {
    await plain.query(`set timezone = 'UTC'`);
    await plain.query(`create table old_rows (${SQL_TYPES})`);
    await plain.query('insert into old_rows (id) values (0)');
    let at = 0;
    for (const [column, values] of WORDS)
      for (const value of values) {
        at += 1;
        await plain.query(`insert into old_rows (id, ${column}) values ($1, $2)`, [at, value.replaceAll("''", "'")]);
      }
    const before = await dump(plain, 'old_rows');
    const store = new PostgresRemodelStore({ pool });
    await store.create(model, 'hash');
    await store.change(model, 1, { phase: 'dual', ramp: 10_000 }, 'test', {});
    const ids = before.map((_, i) => String(i));
    expect(await store.adopt(model, ids)).toEqual({ adopted: ids.length, quarantined: 0 });
    expect(await dump(plain, 'new_rows')).toEqual(before);
    expect(await store.verify(model, { byValue: true, signal: never })).toMatchObject({
      different: 0,
      missing: 0,
      extra: 0,
    });

    // The old rows are made anew from the new ones, past the guard, so that nothing of them is left.
    await plain.query(`alter table old_rows disable trigger user`);
    await plain.query('delete from old_rows');
    await plain.query(`alter table old_rows enable always trigger "godwit-guard-nasty"`);
    for (const identity of ids) {
      const tx = await pool.connect();
      await tx.query('begin isolation level read committed');
      const entered = await store.enter(model, tx, identity);
      const state = (await entered.readNew()) as { root: Row[] };
      await entered.putNew('root', state.root);
      await entered.patchNew('root', undefined, state.root[0] as Row);
      await tx.query('commit');
      tx.release();
    }
    expect(await store.relay(model, 1_000)).toMatchObject({ applied: ids.length, quarantined: 0 });
    expect(await dump(plain, 'old_rows')).toEqual(before);
    expect(await dump(plain, 'new_rows')).toEqual(before);

    // Past the library: the images that the guard keeps are as exact, whatever the writer's session.
    await pool.query('update old_rows set t = $1', ['past']);
    expect(await store.settleDirty(model, 1_000)).toBe(ids.length);
    await plain.query(`update new_rows set t = o.t from old_rows o where o.id = new_rows.id`);
    expect((await dump(plain, 'new_rows')).map((line) => (JSON.parse(line) as string[]).with(1, ''))).toEqual(
      before.map((line) => (JSON.parse(line) as string[]).with(1, '')),
    );
  } finally {
    await Promise.all([plain.end(), pool.end()]);
  }
});
