/**
 * The life of the remodel, every phase of it forwards and backwards, by the
 * real command line, while users are at work. After each step all customers
 * are compared with what the users were told.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { count, type Story } from '../shop/print.ts';
import { godwit, godwitJson, godwitRefuses, type Place } from './command.ts';
import type { Differences, History } from './load/history.ts';
import type { Load } from './load/load.ts';
import { prove, type Where } from './proof.ts';
import type { Fleet } from './services.ts';

export interface Scene {
  readonly story: Story;
  readonly place: Place;
  readonly client: pg.Client;
  readonly history: History;
  readonly load: Load;
  readonly fleet: Fleet;
  /** What was wrong in the proofs so far. */
  readonly found: Differences;
}

export interface Told {
  proofs: number;
  readonly stepsBack: string[];
}

const SHADOW_READS = 200;
/** So long users work between two steps. */
const PAUSE_MS = 400;
/** So long nobody may have read the old table before it is dropped; a month would be right, and too long for a demo. */
const CYCLE_MS = 3000;

const CYCLE = ['--cycle', `${CYCLE_MS / 1000}s`] as const;

export async function live(scene: Scene): Promise<Told> {
  const told: Told = { proofs: 0, stepsBack: [] };
  const { story, fleet, load } = scene;
  const go = (...words: string[]) => godwit(story, scene.place, words);
  const back = async (to: string, where: Where) => {
    const from = await phaseOf(scene);
    await go('rollback', '--to', to);
    await check(scene, told, to, where);
    told.stepsBack.push(`${from} → ${to}`);
  };
  const at = (phase: string, where: Where) => check(scene, told, phase, where);

  story.step('Created: tables, guard, and the price of a write to both');
  await go('create');
  await at('created', 'old');
  await back('draft', 'old');
  await go('create');
  await at('created', 'old');

  story.step('The new version of the service, by a rolling restart');
  await fleet.replaceAll('after', load);
  await at('created', 'old');
  story.good(`two processes replaced; failed requests so far: ${load.tally.failed}`);

  story.step('Dual: new first, old later, for a share of the customers');
  await go('ramp', '30%');
  await at('dual', 'owners');
  await back('created', 'old');
  for (const share of ['10%', '50%', '20%', '100%']) {
    await go('ramp', share);
    await at('dual', 'owners');
  }

  story.step('Sealed: every process writes new first');
  await go('seal');
  await at('sealed', 'owners');
  await back('dual', 'owners');
  await climb(scene, ['100%'], ['seal']);

  story.step('Backfilling: the customers nobody has written to, offline');
  await go('backfill', '--engine', 'duckdb');
  await at('backfilling', 'new');
  await back('dual', 'owners');
  await climb(scene, ['100%'], ['seal'], ['backfill']);

  story.step('Verified: twice in a row, the second time by value, under load');
  await go('verify', '--engine', 'duckdb');
  await at('verified', 'new');
  await back('dual', 'owners');
  await climb(scene, ['100%'], ['seal'], ['backfill'], ['verify', '--by-value']);
  await at('verified', 'new');

  story.step('Reads: compared in the shadow first, then moved');
  await go('reads', 'shadow', '100%');
  await shadowed(scene);
  await go('reads', '10%', '--min-shadow', String(SHADOW_READS));
  await at('reads', 'new');
  await back('verified', 'new');
  await go('reads', 'shadow', '100%');
  await shadowed(scene);
  for (const share of ['10%', '50%', '100%']) {
    await go('reads', share, '--min-shadow', String(SHADOW_READS));
    await at('reads', 'new');
  }

  story.step('New only: the old table is not written any more');
  await go('contract');
  await at('new-only', 'new');
  await back('reads', 'new');
  story.say('All the way back, as if it were needed most:');
  await back('created', 'old');
  await climb(
    scene,
    ['100%'],
    ['seal'],
    ['backfill'],
    ['verify'],
    ['reads', '100%', '--min-shadow', '0'],
    ['contract'],
  );
  await at('new-only', 'new');

  story.step('Trapped: who still reads the old table?');
  await go('retire', '--trap', 'record', ...CYCLE);
  await at('trapped', 'new');
  await back('new-only', 'new');
  await go('retire', '--trap', 'record', ...CYCLE);
  await report(scene);
  await go('retire', '--trap', 'refuse', ...CYCLE);
  await reportRefused(scene);
  const lastReadMs = performance.now();
  await at('trapped', 'new');

  story.step('What it was all for: several subscriptions a customer');
  await fleet.replaceAll('after', load, { SUBSCRIPTIONS: '3' });
  load.most = 3;
  await several(scene);
  await godwitRefuses(story, scene.place, ['rollback', '--to', 'created', '--dry-run']);
  await at('trapped', 'new');

  story.step('Retired: archived and dropped');
  await sleep(Math.max(0, lastReadMs + CYCLE_MS + 500 - performance.now()), undefined, { signal: scene.place.signal });
  await go('retire', '--confirm', 'customers', ...CYCLE);
  await at('retired', 'new');
  return told;
}

/** Up again, without the story of each step. */
async function climb(
  { story, place }: Scene,
  [share]: readonly string[],
  ...steps: readonly string[][]
): Promise<void> {
  for (const words of [['ramp', share as string], ...steps]) await godwit(story, place, words);
}

/** Lets users work a while, then compares everybody with what they were told. */
async function check(scene: Scene, told: Told, phase: string, where: Where): Promise<void> {
  const { story, client, history, load, found, place } = scene;
  await sleep(PAUSE_MS, undefined, { signal: place.signal });
  const now = await phaseOf(scene);
  if (now !== phase) throw new Error(`the remodel is in phase ${now}, not ${phase}`);
  const wrong = await prove(client, history, load, where);
  told.proofs += 1;
  for (const kind of ['missing', 'extra', 'mismatched'] as const) found[kind] += wrong[kind];
  found.examples.push(...wrong.examples.map((example) => `${phase}: ${example}`));
  const sum = wrong.missing + wrong.extra + wrong.mismatched + load.tally.failed + load.tally.stale + load.tally.wrong;
  const words = `${phase}: ${count(history.living.length)} customers as their users know them (${WHERE[where]})`;
  if (sum === 0) return story.good(words);
  story.bad(`${words}: missing ${wrong.missing}, extra ${wrong.extra}, mismatched ${wrong.mismatched}`);
  for (const example of [...wrong.examples, ...load.tally.examples]) story.bad(example);
  throw new Error(`${phase}: ${[...wrong.examples, ...load.tally.examples][0] ?? 'something is wrong'}`);
}

const WHERE: Readonly<Record<Where, string>> = {
  old: 'in the old table',
  new: 'in the new tables',
  owners: 'each where they belong',
};

async function phaseOf({ client }: Scene): Promise<string> {
  const made = await client.query("SELECT to_regclass('godwit.remodel') AS made");
  if (made.rows[0]?.made === null) return 'draft';
  const { rows } = await client.query<{ phase: string }>('SELECT phase FROM godwit.remodel');
  return rows[0]?.phase ?? 'draft';
}

/** Waits until enough reads were compared. */
async function shadowed({ place, story }: Scene): Promise<void> {
  const deadline = performance.now() + 30_000;
  for (;;) {
    const { shadow } = (await godwitJson(place, ['status'])) as { shadow: { same: number; confirmed: number } };
    if (shadow.same >= SHADOW_READS)
      return story.say(`${count(shadow.same)} reads compared in the shadow, ${shadow.confirmed} differ`);
    if (performance.now() > deadline) throw new Error(`only ${shadow.same} reads were compared in the shadow`);
  }
}

/** A program that was forgotten reads the old table, as a monthly report would. */
async function report({ place, story }: Scene): Promise<void> {
  const { rows } = await asReport(place, (client) => client.query('SELECT count(*) FROM customers'));
  const hits = JSON.stringify(await godwitJson(place, ['doctor']));
  if (!hits.includes('monthly-report')) throw new Error('the reader of the trapped table is not named');
  story.good(`the forgotten monthly-report read ${count(Number(rows[0]?.count))} rows, and is named by doctor`);
}

async function reportRefused({ place, story }: Scene): Promise<void> {
  const outcome = await asReport(place, (client) => client.query('SELECT count(*) FROM customers')).then(
    () => undefined,
    (error: unknown) => (error as Error).message,
  );
  if (outcome === undefined) throw new Error('the trap refused nobody');
  story.good(`and now refused: ${outcome}`);
}

async function asReport<T>({ databaseUrl }: Place, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: databaseUrl, application_name: 'monthly-report' });
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}

/** Waits until users have taken what was not possible before. */
async function several({ client, story, place }: Scene): Promise<void> {
  const deadline = performance.now() + 20_000;
  for (;;) {
    const { rows } = await client.query(
      'SELECT count(*)::int AS n FROM (SELECT FROM subscriptions GROUP BY customer_id HAVING count(*) > 1) several',
    );
    if (rows[0]?.n >= 20) return story.good(`${rows[0]?.n} customers have more than one already`);
    if (performance.now() > deadline) throw new Error('nobody took a second subscription');
    await sleep(100, undefined, { signal: place.signal });
  }
}
