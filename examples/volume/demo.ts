/**
 * `npm run demo:protect`: a database on a protected volume loses its server
 * without warning. The far site takes over, and everything is there that a
 * client was told is safe.
 */
import { chmodSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import type { FailbackResult, PrimaryStatus, PromotionResult } from '../../src/routes/protect/api.ts';
import { type PostgresServer, startPostgres } from '../../test/servers/postgres.ts';
import { protectCommand, RoleProcess } from '../../test/servers/protect-role.ts';
import { waitFor } from '../../test/servers/wait-for.ts';
import { count, makeStory, ms, type Story } from '../shop/print.ts';
import { Load } from './load.ts';
import { makeSites } from './make-sites.ts';
import { Mounted } from './mounted.ts';
import { removeNamespaces } from './namespaces.ts';
import { makeRunDirectory, sweepDeadRuns, sweepRun } from './runs.ts';
import type { Site, Sites } from './sites.ts';

const ROUND_TRIP_MS = 50;
const CONNECTIONS = 12;
const LOAD_MS = 20_000;
/** Of payments at the DR before it is asked to give the volume back. */
const AWAY_MS = 5_000;
const LIMIT_MS = 5 * 60_000;

interface Outcome {
  outcome: string;
  lostCommits: number | null;
  rpoOperations: number | null;
  rtoSeconds: number | null;
  fsckClean: boolean | null;
  /** Payload that went back to the old primary. */
  failbackBytes: number | null;
  acknowledgedCommits: number;
  durationSeconds: number;
  /** Each role in a namespace of its own, or all of them side by side, where this machine gives none. */
  network: Sites['network'] | null;
}

const json = process.argv.includes('--json');
const story = makeStory(json);
const dir = makeRunDirectory();
// PostgreSQL, which is somebody else, goes through it.
chmodSync(dir, 0o711);
const closers: (() => Promise<unknown>)[] = [];
const began = performance.now();
const outcome: Outcome = {
  outcome: 'not finished',
  lostCommits: null,
  rpoOperations: null,
  rtoSeconds: null,
  fsckClean: null,
  failbackBytes: null,
  acknowledgedCommits: 0,
  durationSeconds: 0,
  network: null,
};
const limit = setTimeout(() => {
  process.stderr.write(`not done after ${LIMIT_MS / 60_000} minutes\n`);
  void leave(1);
}, LIMIT_MS);
process.on('SIGINT', () => void leave(130));
process.on('SIGTERM', () => void leave(143));
process.once('uncaughtException', (error) => {
  process.stderr.write(`${error.stack}\n`);
  void leave(1);
});
try {
  await sweepDeadRuns();
  await play(story);
  const { lostCommits, fsckClean } = outcome;
  outcome.outcome = lostCommits === 0 && fsckClean === true ? 'ok' : 'something was lost';
} catch (error) {
  outcome.outcome = error instanceof Error ? error.message : String(error);
  story.bad(outcome.outcome);
} finally {
  for (const close of closers.reverse()) await close().catch(() => undefined);
  await sweepRun(dir);
  clearTimeout(limit);
}
outcome.durationSeconds = Math.round((performance.now() - began) / 100) / 10;
if (json) process.stdout.write(`${JSON.stringify(outcome)}\n`);
process.exitCode = outcome.outcome === 'ok' ? 0 : 1;

/** At once, from the middle of it: whatever was begun is ended by force. */
async function leave(code: number): Promise<never> {
  closers.length = 0;
  await sweepRun(dir).catch(() => undefined);
  await removeNamespaces((pid) => pid === process.pid).catch(() => undefined);
  process.exit(code);
}

async function play(story: Story): Promise<void> {
  story.step('Three machines: a primary, an auxiliary beside it, a DR far away');
  const key = join(dir, 'key');
  await protectCommand(['key', key]);
  const shared = ['--volume', 'bank', '--size', '512MiB', '--ring', '64MiB', '--key', key, '--lease', '2', '--create'];
  const { sites, why } = await makeSites(ROUND_TRIP_MS);
  closers.push(() => sites.close());
  outcome.network = sites.network;
  const auxiliary = start(sites, 'auxiliary', [
    ...['auxiliary', ...shared, '--state', join(dir, 'auxiliary')],
    ...['--listen', sites.listen.auxiliary],
  ]);
  const dr = start(sites, 'dr', [
    ...['dr', ...shared, '--state', join(dir, 'dr'), '--image', join(dir, 'dr.img')],
    ...['--listen', sites.listen.dr, '--auxiliary', sites.dial.dr.auxiliary],
    ...['--nbd', `unix:${join(dir, 'dr.sock')}`],
  ]);
  const asPrimary = [
    ...['primary', ...shared, '--state', join(dir, 'primary'), '--image', join(dir, 'primary.img')],
    ...['--auxiliary', sites.dial.primary.auxiliary, '--dr', sites.dial.primary.dr],
    ...['--nbd', `unix:${join(dir, 'primary.sock')}`, '--policy', 'barrier'],
  ];
  const primary = start(sites, 'primary', asPrimary);
  await Promise.all([auxiliary.said('listening'), dr.said('listening'), primary.said('leading')]);
  story.good(`the way to the DR takes ${ROUND_TRIP_MS} ms there and back`);
  if (why === undefined)
    story.good('each is in a network namespace of its own, and the DR is reached by that way only');
  else story.bad(`no network namespaces: all three are on the loopback of this machine (${why})`);

  story.step('A file system and a PostgreSQL on the volume');
  const here = await Mounted.attach(dir, 'primary', join(dir, 'primary.sock'), 'bank');
  closers.push(() => here.detach());
  await here.format();
  await here.mount();
  const data = { dir: join(here.path, 'data'), password: 'demo' };
  // One sync of the file system after a crash, not one for each of a thousand files: each would wait for the far line.
  const settings = { max_wal_size: '64MB', checkpoint_timeout: '30s', recovery_init_sync_method: 'syncfs' };
  const bank = await startPostgres({ data, settings });
  closers.push(() => bank.kill());
  await ask(bank, 'create table payments (number bigint primary key, amount int not null, note text not null)');
  story.good(`ext4 on ${here.device}, PostgreSQL on ext4`);

  story.step(`${CONNECTIONS} clients pay; the line to the DR gets worse`);
  sites.worsen();
  const load = new Load(bank.uri, CONNECTIONS);
  await sleep(LOAD_MS);
  const { out } = await protectCommand(['status', '--state', join(dir, 'primary')]);
  for (const line of out.trimEnd().split('\n')) story.quote(line);
  story.say(
    `${count(load.acknowledged.length)} payments acknowledged, half of them within ${ms(median(load.latencies))}`,
  );
  story.say(`the line stood still ${sites.troubles.still} times and was torn ${sites.troubles.torn} times`);

  story.step('The primary is lost, without warning');
  const lostAt = performance.now();
  // The network first, so that no last word of the dying gets out.
  await sites.cutOff('primary');
  await Promise.all([primary.kill(), bank.kill()]);
  await load.stop();
  outcome.acknowledgedCommits = load.acknowledged.length;
  story.say(`${count(load.acknowledged.length)} payments were acknowledged until then`);

  story.step('The DR takes over');
  const result = await promote(story);
  outcome.rpoOperations = result.manifest.lost.length;
  const there = await Mounted.attach(dir, 'dr', join(dir, 'dr.sock'), 'bank');
  closers.push(() => there.detach());
  const check = await there.check();
  outcome.fsckClean = check.clean;
  (check.clean ? story.good : story.bad)(`e2fsck: ${check.words}`);
  await there.mount();
  const again = await startPostgres({ data: { ...data, dir: join(there.path, 'data') }, settings });
  closers.push(() => again.kill());
  outcome.rtoSeconds = Math.round((performance.now() - lostAt) / 10) / 100;
  story.good(`PostgreSQL answers at the DR, ${outcome.rtoSeconds} s after the loss`);

  story.step('Proof');
  const rows = await ask<{ number: string }>(again, 'select number from payments');
  const found = new Set(rows.map(({ number }) => Number(number)));
  const lost = load.acknowledged.filter((number) => !found.has(number));
  outcome.lostCommits = lost.length;
  (lost.length === 0 ? story.good : story.bad)(
    `${count(load.acknowledged.length)} acknowledged payments, lost: ${count(lost.length)}`,
  );
  story.step('The old primary comes back, while clients pay at the DR');
  const away = new Load(again.uri, CONNECTIONS, load.last);
  await here.detach();
  await sites.reconnect('primary');
  const old = start(sites, 'primary', asPrimary);
  await old.said('deposed');
  story.good('it serves nothing: the DR leads');
  await sleep(AWAY_MS);
  const back = await failback(story);
  outcome.failbackBytes = back.bytes;
  await old.said('leading');
  // Its disk is at the other place now: for the database that is a crash.
  await again.kill();
  await Promise.all([away.stop(), there.detach()]);
  story.say(`${count(away.acknowledged.length)} payments were acknowledged at the DR`);

  story.step('At home');
  const home = await Mounted.attach(dir, 'home', join(dir, 'primary.sock'), 'bank');
  closers.push(() => home.detach());
  const second = await home.check();
  outcome.fsckClean = check.clean && second.clean;
  (second.clean ? story.good : story.bad)(`e2fsck: ${second.words}`);
  await home.mount();
  const database = await startPostgres({ data: { ...data, dir: join(home.path, 'data') }, settings });
  closers.push(() => database.kill());
  const all = new Set(
    (await ask<{ number: string }>(database, 'select number from payments')).map(({ number }) => Number(number)),
  );
  const gone = [...load.acknowledged, ...away.acknowledged].filter((number) => !all.has(number));
  outcome.lostCommits += gone.length;
  (gone.length === 0 ? story.good : story.bad)(
    `${count(load.acknowledged.length + away.acknowledged.length)} acknowledged payments, lost: ${count(gone.length)}`,
  );
  outcome.acknowledgedCommits += away.acknowledged.length;
  await ask(database, "insert into payments values (0, 0, 'the first one at home')");
  await waitFor(
    async () => {
      const answer = await protectCommand(['status', '--state', join(dir, 'primary'), '--json']);
      return (JSON.parse(answer.out) as PrimaryStatus).mode === 'full';
    },
    { timeoutMs: 60_000, what: 'all three to be counted on again' },
  );
  story.good('the primary takes payments, and all three are counted on as before');
}

function start(sites: Sites, site: Site, words: readonly string[]): RoleProcess {
  const role = new RoleProcess(site, dir, words, sites.within(site));
  closers.push(() => role.kill());
  return role;
}

/** As an operator would: until the lease of the one that is lost is over, it is refused. */
async function promote(story: Story): Promise<PromotionResult> {
  const words = ['promote', '--state', join(dir, 'dr'), '--yes'];
  story.command(`godwit protect ${words.join(' ').replace(dir, '…')}`);
  let result: PromotionResult | undefined;
  await waitFor(
    async () => {
      const { code, out, err } = await protectCommand([...words, '--json']);
      if (code === 0) result = JSON.parse(out) as PromotionResult;
      else if (!`${out}${err}`.includes('GW7012')) throw new Error(`${out}${err}`);
      return result !== undefined;
    },
    { timeoutMs: 30_000, what: 'the DR to take over' },
  );
  const { seconds, queued, targets, manifest } = result as PromotionResult;
  story.quote(
    `${count(targets)} operations were on their way, ${count(queued)} still queued; the auxiliary had them; lost: ${manifest.lost.length}; ${seconds.toFixed(1)} s`,
  );
  return result as PromotionResult;
}

async function failback(story: Story): Promise<FailbackResult> {
  const words = ['failback', '--state', join(dir, 'dr'), '--yes'];
  story.command(`godwit protect ${words.join(' ').replace(dir, '…')}`);
  const { code, out, err } = await protectCommand([...words, '--json']);
  if (code !== 0) throw new Error(`${out}${err}`);
  const result = JSON.parse(out) as FailbackResult;
  const { bytes, chunks, seconds, stalledMs, unexpected } = result;
  story.quote(
    `${(bytes / 1e6).toFixed(1)} MB in ${count(chunks)} chunks went back in ${seconds.toFixed(1)} s; writers waited ${ms(stalledMs)}`,
  );
  if (unexpected > 0) throw new Error(`${unexpected} chunks were different that nobody had changed`);
  return result;
}

async function ask<Row extends object>(server: PostgresServer, sql: string): Promise<Row[]> {
  const client = new pg.Client(server.uri);
  await client.connect();
  try {
    return (await client.query(sql)).rows as Row[];
  } finally {
    await client.end();
  }
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}
