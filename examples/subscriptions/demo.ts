/**
 * `npm run demo:remodel`: a service under load gets a new data model. Every
 * phase is gone through forwards and backwards, and at the end the demo proves
 * by itself, from what its users were told, that nothing was lost.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { type PostgresServer, startPostgres } from '../../test/servers/postgres.ts';
import { count, makeStory, type Story } from '../shop/print.ts';
import type { Span } from './figures.ts';
import { fill } from './fill.ts';
import { live, type Scene } from './life.ts';
import { type Differences, History } from './load/history.ts';
import { Load } from './load/load.ts';
import { conclude, type Outcome } from './outcome.ts';
import { prove } from './proof.ts';
import { Fleet } from './services.ts';

const CUSTOMERS = 20_000;
const PROCESSES = 2;
const PER_SECOND = 120;
const QUIET_MS = 5000;
/** A demo that hangs tells nothing; this long it never takes. */
const LIMIT_MS = 8 * 60_000;

interface Started {
  server?: PostgresServer;
  fleet?: Fleet;
  load?: Load;
  client?: pg.Client;
  readonly dir: string;
}

const json = process.argv.includes('--json');
process.exitCode = await main();

async function main(): Promise<number> {
  const story = makeStory(json);
  const stop = new AbortController();
  const began = performance.now();
  const seconds = () => Math.round((performance.now() - began) / 100) / 10;
  for (const name of ['SIGINT', 'SIGTERM'] as const)
    process.on(name, () => stop.abort(new Error('stopped on request')));
  const limit = setTimeout(() => stop.abort(new Error(`not done after ${LIMIT_MS / 60_000} minutes`)), LIMIT_MS);
  const started: Started = { dir: mkdtempSync(join(tmpdir(), 'godwit-demo-')) };
  const found: Differences = { missing: 0, extra: 0, mismatched: 0, examples: [] };
  let outcome: Outcome;
  try {
    outcome = await play(story, started, found, stop.signal, seconds);
  } catch (error) {
    const reason = stop.signal.aborted ? stop.signal.reason : error;
    const tally = started.load?.tally;
    outcome = {
      outcome: reason instanceof Error ? reason.message : String(reason),
      failedRequests: tally?.failed ?? null,
      missing: found.missing,
      extra: found.extra,
      mismatched: found.mismatched + (tally?.wrong ?? 0),
      staleReads: tally?.stale ?? null,
      durationSeconds: seconds(),
    };
    for (const example of tally?.examples ?? []) story.bad(example);
    if (started.fleet?.complaints) story.bad(started.fleet.complaints);
  } finally {
    clearTimeout(limit);
    await started.load?.stop();
    await started.fleet?.kill();
    await started.client?.end().catch(() => {});
    await started.server?.stop();
    rmSync(started.dir, { recursive: true, force: true });
  }
  const good = outcome.outcome === 'ok';
  const line = good
    ? `OK: a new data model in ${outcome.durationSeconds.toFixed(0)} s under load, forwards and backwards; nobody noticed`
    : `FAILED: ${outcome.outcome}`;
  process.stdout.write(`${json ? JSON.stringify(outcome) : line}\n`);
  return good ? 0 : 1;
}

async function play(
  story: Story,
  started: Started,
  found: Differences,
  signal: AbortSignal,
  seconds: () => number,
): Promise<Outcome> {
  story.step('A service and its users');
  const server = await startPostgres();
  started.server = server;
  const databaseUrl = await server.createDatabase('customers');
  const client = new pg.Client({ connectionString: databaseUrl, application_name: 'proof' });
  started.client = client;
  await client.connect();
  const { rows } = await client.query<{ server_version: string }>('SHOW server_version');
  const history = new History();
  await fill(client, CUSTOMERS, history);
  const fleet = new Fleet(databaseUrl);
  started.fleet = fleet;
  await fleet.start('before', PROCESSES);
  const load = new Load(history, { ports: fleet.ports, perSecond: PER_SECOND, seed: 20_260_101 });
  started.load = load;
  load.start();
  story.say(`PostgreSQL ${rows[0]?.server_version}, ${count(CUSTOMERS)} customers in one table`);
  story.say(`the service, version before, ${PROCESSES} processes; users begin ${PER_SECOND} requests/s,`);
  story.say('and each acknowledged write is read again at once through the other process');
  await sleep(1500, undefined, { signal });
  const spans: Span[] = [];
  const quietFrom = performance.now();
  await sleep(QUIET_MS, undefined, { signal });
  spans.push({ name: 'before', fromMs: quietFrom, toMs: performance.now() });

  const place = { cwd: started.dir, databaseUrl, signal };
  const scene: Scene = { story, place, client, history, load, fleet, found };
  const lifeFrom = performance.now();
  const told = await live(scene);
  spans.push({ name: 'during', fromMs: lifeFrom, toMs: performance.now() });
  await sleep(QUIET_MS, undefined, { signal });
  spans.push({ name: 'after', fromMs: performance.now() - QUIET_MS, toMs: performance.now() });

  story.step('Proof');
  await load.stop();
  const last = await prove(client, history, load, 'new');
  for (const kind of ['missing', 'extra', 'mismatched'] as const) found[kind] += last[kind];
  found.examples.push(...last.examples);
  const journal = await client.query<{ n: number }>('SELECT count(*)::int AS n FROM journal');
  await fleet.stop();
  return conclude({
    story,
    found,
    load,
    spans,
    told,
    journal: journal.rows[0]?.n ?? 0,
    living: history.living.length,
    seconds: seconds(),
  });
}
