/** What a medium is refused for, before anything is written, and what a fault leaves. */
import { cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { armFailpoint } from '../../src/kernel/failpoint.ts';
import type { ExportResult, RunEvent } from '../../src/routes/migrate/api.ts';
import { check, exportMedium, importMedium, run } from '../../src/routes/migrate/index.ts';
import { RunStore } from '../../src/state/index.ts';
import {
  change,
  driftOf,
  eventOf,
  exportOptions,
  fillBusiness,
  hooksOf,
  importOptions,
  runOptions,
  useWorld,
  type World,
} from './world.ts';

const world = useWorld();

async function exported(w: World, name: string, medium = name): Promise<ExportResult> {
  await fillBusiness(await w.source.client(), name, 80);
  return exportMedium(exportOptions(w, name, medium), hooksOf(w));
}

async function namesAt(w: World, name: string): Promise<string[]> {
  const list = await (await w.target.client()).db(name).listCollections({}, { nameOnly: true }).toArray();
  return list.map((one) => one.name);
}

test('a damaged file is named, and the target stays empty', { timeout: 60_000 }, async () => {
  const w = world();
  await exported(w, 'damaged');
  const file = join(w.dir, 'damaged', 'damaged', 'things.bson');
  const bytes = readFileSync(file);
  bytes[bytes.length >> 1]! ^= 1;
  writeFileSync(file, bytes);
  for (const attempt of [
    () => importMedium(importOptions(w, 'damaged', 'damaged'), hooksOf(w)),
    () => run(runOptions(w, 'damaged', { fromMedium: join(w.dir, 'damaged') }), hooksOf(w)),
  ]) {
    await expect(attempt()).rejects.toMatchObject({
      code: 'GW2101',
      message: expect.stringContaining('damaged/things.bson'),
    });
    expect(await namesAt(w, 'damaged')).toEqual([]);
  }
});

test('a target that holds data is refused', { timeout: 60_000 }, async () => {
  const w = world();
  await exported(w, 'occupied');
  await (await w.target.client()).db('occupied').collection('things').insertOne({ here: true });
  await expect(importMedium(importOptions(w, 'occupied', 'occupied'), hooksOf(w))).rejects.toMatchObject({
    code: 'GW2001',
    message: expect.stringContaining('occupied.things'),
  });
  expect(await namesAt(w, 'occupied')).toEqual(['things']);
});

test('a medium of another source, or another medium, is no beginning', { timeout: 120_000 }, async () => {
  const w = world();
  await exported(w, 'first');
  await exported(w, 'second');
  await importMedium(importOptions(w, 'first', 'first'), hooksOf(w));
  // The same clusters the other way round: the log of the target is another one.
  const turned = { from: w.target.uri, to: w.source.uri };
  await expect(
    run(runOptions(w, 'first', { ...turned, run: 'turned', fromMedium: join(w.dir, 'first') }), hooksOf(w)),
  ).rejects.toMatchObject({ code: expect.stringMatching(/^GW(2104|2001)$/) });
  const store = RunStore.open(join(w.dir, 'state'), 'first');
  expect(store.phase).toBe('following');
  store.close();
  // A dump whose log ends with an entry that the source does not have.
  const copy = join(w.dir, 'forged');
  cpSync(join(w.dir, 'second'), copy, { recursive: true });
  rmSync(join(copy, 'godwit-manifest.json'));
  const log = readFileSync(join(copy, 'oplog.bson'));
  const at = log.lastIndexOf('godwit');
  log.write('GODWIT', at, 'latin1');
  writeFileSync(join(copy, 'oplog.bson'), log);
  await expect(run(runOptions(w, 'second', { fromMedium: copy, run: 'forged' }), hooksOf(w))).rejects.toMatchObject({
    code: 'GW2104',
  });
});

test('an export begins again where one was broken off, and touches nothing else', { timeout: 60_000 }, async () => {
  const w = world();
  await fillBusiness(await w.source.client(), 'broken', 80);
  for (const medium of ['broken', 'broken.archive']) {
    const stop = new AbortController();
    const hooks = {
      signal: stop.signal,
      onEvent: (event: RunEvent) => {
        if (event.type === 'medium' && event.progress.step === 'exporting') stop.abort();
      },
    };
    await expect(exportMedium(exportOptions(w, 'broken', medium), hooks)).rejects.toMatchObject({ code: 'GW8001' });
    await expect(importMedium(importOptions(w, 'broken', medium), hooksOf(w))).rejects.toMatchObject({
      code: 'GW2102',
    });
    const other = exportOptions(w, 'broken', medium, { include: ['somebody'] });
    await expect(exportMedium(other, hooksOf(w))).rejects.toMatchObject({ code: 'GW2105' });
    const done = await exportMedium(exportOptions(w, 'broken', medium), hooksOf(w));
    expect(done).toMatchObject({ already: false });
    expect(await exportMedium(exportOptions(w, 'broken', medium), hooksOf(w))).toMatchObject({
      already: true,
      id: done.id,
    });
  }
  await expect(exportMedium(exportOptions(w, 'broken', '.'), hooksOf(w))).rejects.toMatchObject({ code: 'GW2105' });
});

test('a choice that was mistyped leaves the place free', { timeout: 60_000 }, async () => {
  const w = world();
  await fillBusiness(await w.source.client(), 'right', 80);
  for (const medium of ['right', 'right.archive']) {
    const wrong = exportOptions(w, 'right', medium, { include: ['wrong'] });
    await expect(exportMedium(wrong, hooksOf(w))).rejects.toMatchObject({
      code: 'GW1001',
      message: expect.stringContaining('--include wrong'),
    });
    expect(await exportMedium(exportOptions(w, 'right', medium), hooksOf(w))).toMatchObject({ already: false });
  }
});

test('what an export had completed is kept when it goes on', { timeout: 120_000 }, async () => {
  const w = world();
  const client = await w.source.client();
  for (const [part, count] of [3000, 2000, 1000, 500].entries()) {
    const docs = Array.from({ length: count }, (_, n) => ({ _id: n as never, text: 'k'.repeat(1000) }));
    await client.db('kept').collection(`part${part}`).insertMany(docs);
  }
  const stop = new AbortController();
  const slow = exportOptions(w, 'kept', 'kept', { lanes: 1, maxMbps: 3 });
  const hooks = {
    signal: stop.signal,
    onEvent: (event: RunEvent) => {
      if (event.type === 'medium' && event.progress.docs > 4000) stop.abort();
    },
  };
  await expect(exportMedium(slow, hooks)).rejects.toMatchObject({ code: 'GW8001' });
  await change(client, 'kept', 'meanwhile').catch(() => undefined);
  await client
    .db('kept')
    .collection('part0')
    .updateMany({}, { $set: { meanwhile: true } });
  await client
    .db('kept')
    .collection('part3')
    .deleteMany({ _id: { $lt: 100 as never } });
  w.events.length = 0;
  const done = await exportMedium(exportOptions(w, 'kept', 'kept'), hooksOf(w));
  expect(eventOf(w, 'gone-on')?.['complete']).toBeGreaterThan(0);
  // Still within the server's history: all of it is as of the first attempt's time point.
  expect(done).toMatchObject({ snapshot: true, documents: 6500, collections: 4 });
  await importMedium(importOptions(w, 'kept', 'kept'), hooksOf(w));
  expect(await run(runOptions(w, 'kept', { until: 'verified' }), hooksOf(w))).toMatchObject({ phase: 'verified' });
});

test('a medium without its manifest is a dump, and the start of a run all the same', { timeout: 120_000 }, async () => {
  const w = world();
  const client = await w.source.client();
  for (const [medium, compress] of [
    ['plain', 'none'],
    ['plain.archive.gz', 'gzip'],
  ] as const) {
    const name = `bare${compress}`;
    await fillBusiness(client, name, 80);
    await exportMedium(exportOptions(w, name, `${name}-${medium}`, { compress }), hooksOf(w));
    const path = join(w.dir, `${name}-${medium}`);
    rmSync(compress === 'none' ? join(path, 'godwit-manifest.json') : `${path}.godwit-manifest.json`);
    await change(client, name, 'later');
    const end = await run(runOptions(w, name, { fromMedium: path, until: 'verified' }), hooksOf(w)).catch(
      (error: unknown) => {
        throw new Error(JSON.stringify(driftOf(w, name)), { cause: error });
      },
    );
    expect(end).toMatchObject({ phase: 'verified' });
  }
});

test('an import that was broken off goes on', { timeout: 120_000 }, async () => {
  const w = world();
  await exported(w, 'again');
  const stop = new AbortController();
  armFailpoint('copy.chunk.after-done', 3, () => stop.abort());
  await expect(importMedium(importOptions(w, 'again', 'again'), hooksOf(w, stop.signal))).rejects.toMatchObject({
    code: 'GW8001',
  });
  await change(await w.source.client(), 'again', 'x');
  expect(await importMedium(importOptions(w, 'again', 'again'), hooksOf(w))).toMatchObject({ phase: 'following' });
  expect(await run(runOptions(w, 'again', { until: 'verified' }), hooksOf(w))).toMatchObject({ phase: 'verified' });
});

test('check says which ways lead to a time point', { timeout: 60_000 }, async () => {
  const w = world();
  const { timePoint } = await exported(w, 'ways');
  const ways = async (timePoint: string) => {
    const more = { timePoint, run: 'ways-check', fromMedium: join(w.dir, 'ways') };
    const report = await check(runOptions(w, 'ways', more), hooksOf(w).signal);
    return report.findings.filter((finding) => finding.check.startsWith('time-point'));
  };
  const near = await ways(`${timePoint.t}:${timePoint.i}`);
  expect(near.map((finding) => finding.check).sort()).toEqual(
    expect.arrayContaining(['time-point.log', 'time-point.medium', 'time-point.snapshot']),
  );
  expect(near.some((finding) => finding.severity === 'error')).toBe(false);
  const far = await ways('2001-01-01T00:00:00Z');
  expect(far.filter((finding) => finding.severity === 'error')).toHaveLength(1);
  const future = await ways('2100-01-01T00:00:00Z');
  expect(future[0]).toMatchObject({ severity: 'error', message: expect.stringContaining('future') });
});
