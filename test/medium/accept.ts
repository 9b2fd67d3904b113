/**
 * Interchange with the real tools, both ways, under load:
 *
 *   GODWIT_PEERS=/path/to/tools npm run accept:medium
 *
 * Fails when the tools are missing. What CI has of this without them is fixtures.mongo.test.ts.
 */
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import type { RunEvent } from '../../src/routes/migrate/api.ts';
import { command, exportMedium, importMedium, run } from '../../src/routes/migrate/index.ts';
import { type ReplicaSet, startReplicaSet } from '../servers/index.ts';
import { compareClusters } from '../tools/compare-clusters.ts';
import { findTool } from '../tools/find-tool.ts';
import { startTorture, TORTURE_KINDS, tortureNames } from '../torture/index.ts';
import { change, exportOptions, fillBusiness, importOptions, runOptions, type World } from './world.ts';

const call = promisify(execFile);
const never = new AbortController().signal;
const dir = mkdtempSync(join(tmpdir(), 'godwit-accept-'));
const sets: ReplicaSet[] = [];
let failed = 0;
let passed = 0;

/** What mongodump refuses while it runs, and what mongorestore cannot replay, or not as it was (keys of arrays). */
const NOT_FOR_TOOLS =
  /rename|out|merge|Across|convert|clone|dropDatabase|recreate|collMod|resize|drop|index|build|createUnique|create$|createSeries|view|fleeting|txnCreate|neighbourStructure|scratch|insertLargest|insertRaw/i;
const gentle = (kind: string) => !NOT_FOR_TOOLS.test(kind);

async function tool(name: 'mongodump' | 'mongorestore', ...args: string[]): Promise<void> {
  await call(findTool(name), [...args, '--quiet'], { maxBuffer: 1 << 26 });
}

async function set(name: string): Promise<ReplicaSet> {
  const made = await startReplicaSet({ name, cacheGB: 0.4 });
  sets.push(made);
  return made;
}

function worldOf(source: ReplicaSet, target: ReplicaSet): World {
  return { source, target, dir, events: [] };
}

const hooks = { signal: never, onEvent: () => undefined };

async function check(what: string, work: () => Promise<void>): Promise<void> {
  const began = performance.now();
  try {
    await work();
    passed += 1;
    process.stdout.write(`✓ ${what} (${((performance.now() - began) / 1000).toFixed(1)} s)\n`);
  } catch (error) {
    failed += 1;
    process.stdout.write(`✗ ${what}\n${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
  }
}

async function assertEqual(a: ReplicaSet, b: ReplicaSet, databases: readonly string[]): Promise<void> {
  const verdict = await compareClusters(a.uri, b.uri, { include: (db) => databases.includes(db) });
  if (verdict.documents === 0) throw new Error('nothing was compared');
  if (!verdict.equal) throw new Error(verdict.differences.slice(0, 8).join('\n'));
}

/** From a dump that a tool makes under load to a cutover, and the judge. */
async function runFromDump(
  form: string,
  dump: (uri: string, path: string) => Promise<void>,
  seed: number,
): Promise<void> {
  const [source, target] = [await set(`src${seed}`), await set(`dst${seed}`)];
  const w = worldOf(source, target);
  const torture = await startTorture({ uri: source.uri, seed, db: 'shop', documents: 2000, rate: 200, kinds: gentle });
  try {
    const { main } = tortureNames('shop');
    await dump(source.uri, join(dir, form));
    const stop = new AbortController();
    const options = runOptions(w, form, { include: [main], fromMedium: join(dir, form) });
    let imported = (): void => undefined;
    const follows = new Promise<void>((resolve) => {
      imported = resolve;
    });
    const onEvent = (event: RunEvent) => {
      if (event.type === 'status' && event.status.phase === 'following') imported();
    };
    const living = run(options, { onEvent, signal: stop.signal }).catch((error: unknown) => error);
    const ended = living.then((error) => Promise.reject(error));
    ended.catch(() => undefined);
    await Promise.race([follows, ended]);
    // Some of the load comes while the run follows.
    await sleep(2000);
    const log = await torture.stop();
    if (log.unexpected.length > 0) throw new Error(log.unexpected[0]);
    const answer = await Promise.race([command('cutover', { state: options.state, run: form }, {}, hooks), ended]);
    stop.abort();
    await living;
    if (answer.phase !== 'switched') throw new Error(`the run is ${answer.phase}`);
    await assertEqual(source, target, [main]);
  } finally {
    await torture.stop().catch(() => undefined);
    await Promise.all([source.stop(), target.stop()]);
  }
}

/** One export, restored by mongorestore and by Godwit: both must hold the same. */
async function restoredByBoth(medium: string, compress: 'none' | 'gzip', seed: number): Promise<void> {
  const [source, own, theirs] = [await set(`s${seed}`), await set(`o${seed}`), await set(`t${seed}`)];
  const torture = await startTorture({ uri: source.uri, seed, db: 'shop', documents: 1500, rate: 200, kinds: gentle });
  try {
    const w = worldOf(source, own);
    await fillBusiness(await source.client(), 'biz', 300);
    // By then every kind has made the collections it uses: what creates some is only for a run.
    await sleep(4000);
    const include = ['shop', 'biz'];
    await exportMedium(exportOptions(w, medium, medium, { include, compress }), hooks);
    await importMedium(importOptions(w, medium, medium, { include, finish: true }), hooks);
    const path = join(dir, medium);
    const place = medium.includes('archive') ? `--archive=${path}` : `--dir=${path}`;
    const gzip = compress === 'gzip' ? ['--gzip'] : [];
    await tool('mongorestore', '--uri', theirs.uri, '--oplogReplay', place, ...gzip);
    await assertEqual(own, theirs, include);
  } finally {
    await torture.stop().catch(() => undefined);
    await Promise.all([source.stop(), own.stop(), theirs.stop()]);
  }
}

async function byTools(compress: 'none' | 'gzip', include: readonly string[], seed: number): Promise<void> {
  const [source, target] = [await set(`ts${seed}`), await set(`tt${seed}`)];
  try {
    const w = worldOf(source, target);
    const client = await source.client();
    await fillBusiness(client, 'biz', 300);
    const name = `tools${seed}`;
    const how = { include, compress, mediumTool: 'mongodump' } as const;
    await exportMedium(exportOptions(w, name, name, how), hooks);
    await change(client, 'biz', 'between');
    await importMedium(importOptions(w, name, name, { include, mediumTool: 'mongodump' }), hooks);
    await change(client, 'biz', 'later');
    const end = await run(runOptions(w, name, { include, until: 'verified' }), hooks);
    if (end.phase !== 'verified') throw new Error(`the run is ${end.phase}`);
  } finally {
    await Promise.all([source.stop(), target.stop()]);
  }
}

if (!TORTURE_KINDS.some(gentle)) throw new Error('no kind of torture is left');
for (const name of ['mongodump', 'mongorestore'] as const) findTool(name);
try {
  const dumps: [string, (path: string) => string[]][] = [
    ['dump', (path) => [`--out=${path}`]],
    ['dump-gzip', (path) => [`--out=${path}`, '--gzip']],
    ['dump.archive', (path) => [`--archive=${path}`]],
    ['dump.archive.gz', (path) => [`--archive=${path}`, '--gzip']],
  ];
  for (const [i, [form, place]] of dumps.entries()) {
    await check(`mongodump --oplog, ${form}: the start of a run, equal after the cutover`, () =>
      runFromDump(form, (uri, path) => tool('mongodump', '--uri', uri, '--oplog', ...place(path)), i + 1),
    );
  }
  for (const [i, [medium, compress]] of (
    [
      ['own', 'none'],
      ['own-gzip', 'gzip'],
      ['own.archive', 'none'],
      ['own.archive.gz', 'gzip'],
    ] as const
  ).entries()) {
    await check(`an export of Godwit, ${medium}: mongorestore --oplogReplay and import --finish agree`, () =>
      restoredByBoth(medium, compress, i + 11),
    );
  }
  await check('--medium-tool mongodump, a whole database', () => byTools('none', ['biz'], 21));
  await check('--medium-tool mongodump, gzip, some collections', () =>
    byTools(
      'gzip',
      ['biz.things', 'biz.series', 'biz.capped', 'biz.view', 'biz.clustered', 'biz.unique', 'biz.a b*', 'biz.new-*'],
      22,
    ),
  );
} finally {
  await Promise.all(sets.map((one) => one.stop()));
  rmSync(dir, { recursive: true, force: true });
}
process.stdout.write(`${passed} passed, ${failed} failed\n`);
process.exit(failed === 0 ? 0 : 1);
