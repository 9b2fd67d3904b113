/** `npm run bench:medium`: export and import beside mongodump and mongorestore, in one run (bench/README.md). */
import { closeSync, fsyncSync, openSync, readdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { type DatasetOptions, loadDataset } from './dataset.ts';
import { assertCopied, CACHE_GB, Side, workDirectory } from './lib/clusters.ts';
import { GodwitProcess, godwitCli } from './lib/godwit.ts';
import { describeMachine, machineLine } from './lib/machine.ts';
import { Flags, runMain, saveJson } from './lib/main.ts';
import { type MeasuredExit, measure } from './lib/measured-process.ts';
import { readCollection, sendCollection } from './lib/memory-copy.ts';
import { findPeer } from './lib/peers.ts';
import { cell, note, table, type Verdict, verdictLine } from './lib/print.ts';
import { medianOfKnown } from './lib/statistics.ts';

const NAME = { db: 'shop', collection: 'orders' } as const;

/** What was fastest (design, data lane). */
const CEILING = { connections: 2, sharing: 'next' } as const;

interface Way {
  readonly name: string;
  /** Under this name the medium lies in the work directory. */
  readonly medium: string;
  readonly write: (from: string, path: string) => Promise<MeasuredExit>;
  readonly read: (path: string, to: string, state: string) => Promise<MeasuredExit>;
}

interface Result {
  readonly name: string;
  readonly bytes: number;
  readonly exports: (MeasuredExit | undefined)[];
  /** Until the files of an export are on the disk, after its process has ended. */
  readonly syncs: number[];
  readonly imports: (MeasuredExit | undefined)[];
}

function godwit(name: string, medium: string, flags: readonly string[]): Way {
  return {
    name,
    medium,
    write: (from, path) =>
      new GodwitProcess(['export', '--from', from, '--include', NAME.db, '--medium', path, ...flags]).end(),
    read: (path, to, state) => new GodwitProcess(['import', '--medium', path, '--to', to, '--state', state]).end(),
  };
}

/** Both tools with what makes them fastest on a warm cache. */
function tools(name: string, medium: string, flags: readonly string[], archive = false): Way {
  const place = (path: string) => (archive ? [`--archive=${path}`] : ['--out', path]);
  const from = (path: string) => (archive ? [`--archive=${path}`] : ['--dir', path]);
  return {
    name,
    medium,
    write: (uri, path) =>
      measure([
        findPeer('mongodump') ?? '',
        '--uri',
        uri,
        '--db',
        NAME.db,
        '-j',
        '4',
        '--quiet',
        ...flags,
        ...place(path),
      ]),
    read: (path, uri) =>
      measure([
        findPeer('mongorestore') ?? '',
        '--uri',
        uri,
        '-j',
        '4',
        '--numInsertionWorkersPerCollection=4',
        '--bypassDocumentValidation',
        '--quiet',
        ...flags,
        ...from(path),
      ]),
  };
}

function filesIn(path: string): string[] {
  if (statSync(path).isFile()) return [path];
  const files = readdirSync(path, { recursive: true, withFileTypes: true }).filter((file) => file.isFile());
  return files.map((file) => join(file.parentPath, file.name));
}

function bytesIn(path: string): number {
  return filesIn(path).reduce((sum, file) => sum + statSync(file).size, 0);
}

/** Seconds until the files are on the disk. */
function syncFiles(path: string): number {
  const began = performance.now();
  for (const file of filesIn(path)) {
    const handle = openSync(file, 'r');
    fsyncSync(handle);
    closeSync(handle);
  }
  return (performance.now() - began) / 1000;
}

await runMain(async () => {
  const flags = new Flags({
    documents: { type: 'string' },
    bytes: { type: 'string' },
    id: { type: 'string' },
    repeat: { type: 'string' },
    only: { type: 'string' },
    json: { type: 'string' },
    'no-import': { type: 'boolean' },
  });
  const id = flags.text('id') ?? 'string';
  if (id !== 'string' && id !== 'objectid') throw new Error('--id is string or objectid');
  for (const peer of ['mongodump', 'mongorestore'] as const) {
    if (findPeer(peer) === undefined) throw new Error(`${peer} is missing: this benchmark is a comparison with it`);
  }
  godwitCli();
  const machine = await describeMachine();
  const work = workDirectory();
  const dataset: DatasetOptions = {
    documents: flags.number('documents', 1_500_000),
    bytes: flags.number('bytes', 1100),
    id,
  };
  const all = [
    godwit('godwit', 'g', []),
    tools('mongodump --out', 'm', []),
    godwit('godwit --compress zstd', 'gz', ['--compress', 'zstd']),
    tools('mongodump --out --gzip', 'mz', ['--gzip']),
    godwit('godwit --compress gzip', 'gg', ['--compress', 'gzip']),
    godwit('godwit, archive', 'ga.archive', []),
    tools('mongodump --archive', 'ma.archive', [], true),
  ];
  const only = flags.list('only');
  const ways = all.filter((way) => only === undefined || only.includes(way.medium));
  const repeat = flags.number('repeat', 1);
  await using source = await Side.start('source');
  note(`loading ${dataset.documents} documents of ${dataset.bytes} bytes, ${dataset.id} ids`);
  await loadDataset(source.cluster, NAME.db, NAME.collection, dataset);
  // Once before the first, so that all find a warm cache.
  await readCollection(source.cluster, NAME, false);

  /** Seconds for sending the same documents from memory, in the order that suits the target best, and building the indexes. */
  const ceilings: number[] = [];
  const results = new Map<string, Result>();
  for (let round = 0; round < repeat; round += 1) {
    if (!flags.isOn('no-import')) {
      const batches = await readCollection(source.cluster, NAME, true);
      await using target = await Side.start('target');
      const { copySeconds, indexSeconds } = await sendCollection(target.cluster, NAME, batches, CEILING);
      ceilings.push(copySeconds + indexSeconds);
      note(`ceiling of an import: documents ${cell(copySeconds)} s, indexes ${cell(indexSeconds)} s`);
    }
    // Each round begins with another.
    for (const way of [...ways.slice(round % ways.length), ...ways.slice(0, round % ways.length)]) {
      const path = join(work, way.medium);
      const exported = await way.write(source.uri, path);
      const synced = syncFiles(path);
      const bytes = bytesIn(path);
      note(
        `${way.name}: export ${cell(exported.seconds)} s, synced ${cell(synced)} s later, ${cell(bytes / 1e6, 0)} MB`,
      );
      let imported: MeasuredExit | undefined;
      if (!flags.isOn('no-import')) {
        await using target = await Side.start('target');
        imported = await way.read(path, target.uri, join(work, `state-${way.medium}-${round}`));
        await assertCopied(target, NAME, dataset.documents);
        note(`${way.name}: import ${cell(imported.seconds)} s`);
      }
      rmSync(path, { recursive: true, force: true });
      for (const beside of readdirSync(work).filter((file) => file.startsWith(`${way.medium}.`)))
        rmSync(join(work, beside), { recursive: true, force: true });
      const before = results.get(way.name);
      results.set(way.name, {
        name: way.name,
        bytes,
        exports: [...(before?.exports ?? []), exported],
        syncs: [...(before?.syncs ?? []), synced],
        imports: [...(before?.imports ?? []), imported],
      });
    }
  }

  const seconds = (exits: readonly (MeasuredExit | undefined)[]) => medianOfKnown(exits.map((exit) => exit?.seconds));
  const onDisk = (result: Result | undefined) =>
    medianOfKnown((result?.exports ?? []).map((exit, n) => exit && exit.seconds + (result?.syncs[n] ?? 0)));
  const rows = [...results.values()].map((result) => [
    result.name,
    cell(seconds(result.exports)),
    cell(onDisk(result)),
    cell(medianOfKnown(result.exports.map((exit) => exit?.cpuSeconds))),
    cell(medianOfKnown(result.exports.map((exit) => exit?.peakRssMiB)), 0),
    cell(result.bytes / 1e6, 0),
    cell(seconds(result.imports)),
    cell(medianOfKnown(result.imports.map((exit) => exit?.cpuSeconds))),
    cell(medianOfKnown(result.imports.map((exit) => exit?.peakRssMiB)), 0),
  ]);
  const of = (name: string) => results.get(name);
  const ratio = (a: number | undefined, b: number | undefined) =>
    a === undefined || b === undefined ? undefined : a / b;
  const [plain, dump, zstd, dumpGzip] = [
    'godwit',
    'mongodump --out',
    'godwit --compress zstd',
    'mongodump --out --gzip',
  ].map(of);
  const verdicts: Verdict[] = [
    {
      what: 'export: speed ÷ mongodump --out’s',
      value: ratio(seconds(dump?.exports ?? []), seconds(plain?.exports ?? [])),
      atLeast: 1,
    },
    { what: 'the same, until the files are on the disk', value: ratio(onDisk(dump), onDisk(plain)), atLeast: 1 },
    {
      what: 'import: time ÷ mongorestore’s',
      value: ratio(seconds(plain?.imports ?? []), seconds(dump?.imports ?? [])),
      atMost: 0.5,
    },
    {
      what: 'import: time ÷ that of sending from memory (the target’s own ceiling)',
      value: ratio(seconds(plain?.imports ?? []), medianOfKnown(ceilings)),
      atMost: 1.25,
    },
    {
      what: 'the ceiling ÷ mongorestore’s time',
      value: ratio(medianOfKnown(ceilings), seconds(dump?.imports ?? [])),
      atMost: 0.5,
    },
    { what: 'zstd export: size ÷ mongodump --gzip’s', value: ratio(zstd?.bytes, dumpGzip?.bytes), atMost: 1 },
    {
      what: 'zstd export: speed ÷ mongodump --gzip’s',
      value: ratio(seconds(dumpGzip?.exports ?? []), seconds(zstd?.exports ?? [])),
      atLeast: 1,
    },
  ];
  console.log(`\n${dataset.documents} documents of ${dataset.bytes} bytes, ${id} ids, two secondary indexes`);
  console.log(`single-member clusters on one machine, cache ${CACHE_GB} GB each side; median of ${repeat}`);
  console.log(`${machineLine(machine)}\n`);
  console.log(
    table(['way', 'export s', 'on disk s', 'CPU s', 'RSS MiB', 'medium MB', 'import s', 'CPU s', 'RSS MiB'], rows),
  );
  console.log('');
  for (const verdict of verdicts) console.log(verdictLine(verdict));
  saveJson(flags.text('json'), {
    benchmark: 'medium',
    machine,
    options: flags.all,
    dataset,
    results: [...results.values()],
    ceilings,
    verdicts,
  });
});
