/** The life of a remodel by the command line on a real MongoDB, with an application at work on the collection. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type ClientSession, Long, type MongoClient } from 'mongodb';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createGodwit, type Godwit, mongoStore } from '../../../src/routes/remodel/library/index.ts';
import { type ReplicaSet, startReplicaSet, waitFor } from '../../servers/index.ts';
import { subs } from './subscriptions.mongo.fixture.ts';
import { answerOf as answerIn, refusalOf as refusalIn } from './world.ts';

const ROWS = 200;
const DEFINITION = fileURLToPath(new URL('subscriptions.mongo.fixture.ts', import.meta.url));
let server: ReplicaSet;
let client: MongoClient;
let work: string;

beforeAll(async () => {
  server = await startReplicaSet({ name: 'remodel' });
  client = await server.client();
  work = mkdtempSync(join(tmpdir(), 'godwit-remodel-'));
});
afterAll(async () => {
  await server?.stop();
  rmSync(work, { recursive: true, force: true });
});

const collection = (database: string, name: string) =>
  client.db(database).collection<{ _id: Long; email: string; subscription?: { plan: string } }>(name);

async function makeCustomers(database: string): Promise<string> {
  const documents = Array.from({ length: ROWS }, (_, n) => ({
    _id: Long.fromNumber(n + 1),
    email: `user${n + 1}`,
    ...(n % 3 === 0 ? {} : { subscription: { plan: `plan${n % 5}`, amount: n } }),
  }));
  await collection(database, 'customers').insertMany(documents);
  const uri = new URL(server.uri.replace('mongodb:', 'http:'));
  uri.pathname = `/${database}`;
  return uri.href.replace('http:', 'mongodb:');
}

const answerOf = (db: string, words: readonly string[], may = 0) =>
  answerIn(db, [...words, '--definition', DEFINITION], may);
const refusalOf = (db: string, words: readonly string[]) => refusalIn(db, [...words, '--definition', DEFINITION]);

/** Changes the e-mail of every other customer again and again, and reads it back. */
class Writer {
  readonly emails = new Map<number, string>();
  readonly stale: string[] = [];
  #stopped = false;
  readonly #done: Promise<void>;
  readonly #godwit: Godwit<ClientSession>;

  constructor(godwit: Godwit<ClientSession>, database: string) {
    this.#godwit = godwit;
    this.#done = this.#run(database);
    this.#done.catch(() => undefined);
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    try {
      await this.#done;
    } finally {
      await this.#godwit.close();
    }
    expect(this.stale).toEqual([]);
    expect(this.emails.size).toBeGreaterThan(0);
  }

  async #run(database: string): Promise<void> {
    for (let turn = 0; !this.#stopped; turn += 1) {
      const id = ((turn * 2) % ROWS) + 1;
      const email = `mail${turn}`;
      await client.withSession((session) =>
        session.withTransaction(() => this.#godwit.write(subs, id, session, (m) => m.customer.set({ email }))),
      );
      this.emails.set(id, email);
      const key = { _id: Long.fromNumber(id) };
      const seen = await this.#godwit.read(subs, id, {
        old: async (row) => (row === undefined ? await collection(database, 'customers').findOne(key) : row)?.email,
        new: async () => (await collection(database, 'customers_v2').findOne(key))?.email,
      });
      if (seen !== email) this.stale.push(`${id}: read ${String(seen)}, written ${email}`);
    }
  }
}

async function startWriter(database: string): Promise<Writer> {
  const store = mongoStore({ client, db: database });
  return new Writer(await createGodwit({ store, migrations: [subs] }), database);
}

test('a whole life, from draft to retired', async () => {
  const db = await makeCustomers('life');
  expect((await answerOf(db, ['check', '--samples', '5'])).check).toMatchObject({ madeUpRows: 500, realRows: 100 });
  expect(await answerOf(db, ['create', '--samples', '10'])).toMatchObject({
    phase: 'created',
    impact: { samples: 10 },
  });
  const writer = await startWriter('life');
  try {
    await answerOf(db, ['ramp', '10%']);
    expect(await refusalOf(db, ['seal'])).toBe('GW6003');
    await answerOf(db, ['ramp', '100%']);
    await answerOf(db, ['seal']);
    expect(await answerOf(db, ['backfill'])).toMatchObject({ ok: true });
    expect(await answerOf(db, ['verify'])).toMatchObject({ phase: 'verified' });
    await answerOf(db, ['reads', 'shadow', '100%']);
    expect(await answerOf(db, ['reads', '100%'])).toMatchObject({ phase: 'reads' });
    expect(await answerOf(db, ['contract'])).toMatchObject({ phase: 'new-only' });
    expect(await answerOf(db, ['retire', '--trap', 'record', '--cycle', '1h'])).toMatchObject({ phase: 'trapped' });
  } finally {
    await writer.stop();
  }
  expect(await refusalOf(db, ['retire', '--confirm', 'customers'])).toBe('GW6003');
  const retired = await answerOf(db, ['retire', '--confirm', 'customers', '--cycle', '0s', '--work', work]);
  expect(retired.phase).toBe('retired');
  expect(readFileSync(retired.file as string).length).toBeGreaterThan(0);
  expect(await client.db('life').listCollections({ name: 'customers' }).toArray()).toEqual([]);
  for (const [id, email] of writer.emails)
    expect(await collection('life', 'customers_v2').findOne({ _id: Long.fromNumber(id) })).toMatchObject({ email });
});

test.each(['dual', 'verified', 'trapped'])('back from %s to created, with nothing lost', async (phase) => {
  const database = `back-${phase}`;
  const db = await makeCustomers(database);
  await answerOf(db, ['create', '--samples', '5']);
  const writer = await startWriter(database);
  try {
    const way = [
      ['ramp', '100%'],
      ['seal'],
      ['backfill'],
      ['verify'],
      ['reads', '100%', '--min-shadow', '0'],
      ['contract'],
    ];
    way.push(['retire', '--trap', 'record', '--cycle', '0s']);
    for (const words of way.slice(0, { dual: 1, verified: 4, trapped: 7 }[phase])) await answerOf(db, words);
    const { size } = writer.emails;
    await waitFor(async () => writer.emails.size >= Math.min(size + 20, ROWS / 2), {
      timeoutMs: 20_000,
      what: 'writes',
    });
    const back = await answerOf(db, ['rollback', '--to', 'created']);
    expect(back).toMatchObject({ phase: 'created' });
    expect(back.released).toBeGreaterThan(0);
  } finally {
    await writer.stop();
  }
  for (const [id, email] of writer.emails)
    expect(await collection(database, 'customers').findOne({ _id: Long.fromNumber(id) })).toMatchObject({ email });
  expect(await answerOf(db, ['rollback'])).toMatchObject({ phase: 'draft' });
});

test('the list of what is missing and the proof, made by DuckDB on an exported snapshot', async () => {
  const db = await makeCustomers('offline');
  await answerOf(db, ['create', '--samples', '5']);
  await answerOf(db, ['ramp', '100%']);
  await answerOf(db, ['seal']);
  const offline = ['--engine', 'duckdb', '--work', work];
  const filled = await answerOf(db, ['backfill', ...offline]);
  expect(filled).toMatchObject({ ok: true, backfill: { listed: ROWS, adopted: ROWS } });
  expect(filled.verify).toMatchObject([
    { engine: 'duckdb', byValue: false, missing: 0, identities: ROWS },
    { engine: 'duckdb', byValue: true, different: 0, sql: expect.stringMatching(/^[0-9a-f]{64}$/) },
  ]);
  await collection('offline', 'customers_v2').updateOne({ _id: Long.fromNumber(7) }, { $set: { email: 'wrong' } });
  const wrong = await answerOf(db, ['verify', ...offline], 6);
  expect(wrong.verify?.at(-1)).toMatchObject({
    different: 1,
    examples: [{ identity: '7', kind: 'different', columns: ['email'] }],
  });
  // Snapshots hold rows of people: none is left behind.
  expect(readdirSync(work).filter((name) => name.includes('snapshot'))).toEqual([]);
});

test('init reads the fields of documents', async () => {
  const db = await makeCustomers('begin');
  const file = join(work, 'begin.ts');
  await answerOf(db, ['init', '--table', 'customers', '--out', file]);
  const text = readFileSync(file, 'utf8');
  expect(text).toContain("id: bigint().named('_id'),");
  expect(text).toContain("subscriptionPlan: text().nullable().named('subscription.plan'),");
});
