/**
 * `npx tsx bench/remodel-compare.ts [--rows 10000000] [--engine duckdb|spark] [--memory MB] [--repeat N]`:
 * the offline comparison of a snapshot, from the CSV files that are exported to the lists of what is
 * missing and what differs. Each step is a process of its own, whose time and memory are its own;
 * the data has a few injected differences, and exactly these must be found.
 */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { csvToParquet, DuckdbCompareEngine } from '../src/adapters/duckdb/index.ts';
import { SparkCompareEngine } from '../src/adapters/spark/index.ts';
import type { CompareEngine, CompareInput } from '../src/kernel/remodel/index.ts';
import { findSpark } from '../test/servers/spark.ts';
import { csvFilesOf, expectedLines, makeSnapshot, SNAPSHOT_COLUMNS } from './compare/snapshot.ts';
import { Flags, runMain, saveJson } from './lib/main.ts';
import { MeasuredProcess } from './lib/measured-process.ts';
import { cell, note, table, type Verdict, verdictLine } from './lib/print.ts';
import { median } from './lib/statistics.ts';

const STEPS = ['make', 'convert', 'missing', 'compare'] as const;
type Step = (typeof STEPS)[number];

interface Measured {
  readonly step: Step;
  /** Of the work itself, without the start of the process. */
  readonly seconds: number;
  readonly peakRssMiB: number | undefined;
  /** Of the whole process. Beside a busy machine's seconds it says what an idle one would take. */
  readonly cpuSeconds: number | undefined;
}

const never = new AbortController().signal;

await runMain(async () => {
  const flags = new Flags({
    rows: { type: 'string' },
    engine: { type: 'string' },
    memory: { type: 'string' },
    repeat: { type: 'string' },
    json: { type: 'string' },
    dir: { type: 'string' },
    step: { type: 'string' },
  });
  const kind = flags.text('engine') ?? 'duckdb';
  if (kind !== 'duckdb' && kind !== 'spark') throw new Error('--engine is duckdb or spark');
  const options = { rows: flags.number('rows', 10_000_000), kind, memoryMb: flags.number('memory', 2000) } as const;
  const step = STEPS.find((each) => each === flags.text('step'));
  if (step !== undefined) return runStep(step, flags.text('dir') as string, options);

  const dir = mkdtempSync(join(flags.text('dir') ?? tmpdir(), 'godwit-compare-'));
  process.on('exit', () => rmSync(dir, { recursive: true, force: true }));
  const measured = [await measure('make', dir, options), await measure('convert', dir, options)];
  for (let i = 0; i < flags.number('repeat', 1); i += 1) {
    for (const each of ['missing', 'compare'] as const) measured.push(await measure(each, dir, options));
  }
  for (const name of ['missing', 'compare'] as const) checkFound(name, dir, options.rows);
  report(measured, dir, options);
  saveJson(flags.text('json'), { benchmark: 'remodel-compare', options, measured });
});

interface Options {
  readonly rows: number;
  readonly kind: 'duckdb' | 'spark';
  readonly memoryMb: number;
}

async function measure(step: Step, dir: string, { rows, kind, memoryMb }: Options): Promise<Measured> {
  note(step);
  const script = fileURLToPath(import.meta.url);
  const flags = { '--step': step, '--dir': dir, '--rows': rows, '--engine': kind, '--memory': memoryMb };
  const words = Object.entries(flags).flatMap(([name, value]) => [name, String(value)]);
  let seconds = Number.NaN;
  const child = new MeasuredProcess([process.execPath, '--import', 'tsx', script, ...words], {
    onLine: (line) => {
      seconds = Number(line);
    },
  });
  const { code, peakRssMiB, cpuSeconds } = await child.exited;
  if (code !== 0) throw new Error(`${step} ended with ${code}:\n${child.tail}`);
  note(`${step}: ${cell(seconds)} s, ${cell(cpuSeconds)} s of CPU, ${cell(peakRssMiB, 0)} MiB`);
  return { step, seconds, cpuSeconds, peakRssMiB };
}

/** In a process of its own; prints the seconds. */
async function runStep(step: Step, dir: string, { rows, kind, memoryMb }: Options): Promise<void> {
  const parquet = join(dir, 'parquet');
  const input: CompareInput = {
    oldFiles: join(parquet, 'old-*.parquet'),
    newFiles: join(parquet, 'new-*.parquet'),
    pendingFiles: join(parquet, 'pending-*.parquet'),
    tombstoneFiles: join(parquet, 'tombstone-*.parquet'),
    columns: SNAPSHOT_COLUMNS,
  };
  let engine: CompareEngine | undefined;
  if (step === 'missing' || step === 'compare') {
    engine =
      kind === 'duckdb'
        ? new DuckdbCompareEngine({ memoryMb, tempDir: dir })
        : new SparkCompareEngine({ memoryMb, tempDir: dir, sparkHome: await findSpark() });
  }
  const startedMs = performance.now();
  if (step === 'make') {
    mkdirSync(join(dir, 'csv'));
    await makeSnapshot(join(dir, 'csv'), rows);
  }
  if (step === 'convert') await csvToParquet(csvFilesOf(join(dir, 'csv')), parquet, { memoryMb, tempDir: dir }, never);
  if (step === 'missing') await engine?.missing(input, join(dir, 'missing'), never);
  if (step === 'compare') await engine?.compare(input, join(dir, 'compare'), never);
  console.log((performance.now() - startedMs) / 1000);
}

function checkFound(name: 'missing' | 'compare', dir: string, rows: number): void {
  const found = readFileSync(join(dir, name), 'utf8');
  if (found !== expectedLines(name, rows)) throw new Error(`${name} did not find exactly what was injected:\n${found}`);
}

function report(measured: readonly Measured[], dir: string, { rows, kind, memoryMb }: Options): void {
  const size = (folder: string) =>
    readdirSync(join(dir, folder)).reduce((sum, name) => sum + statSync(join(dir, folder, name)).size, 0) / 1e6;
  console.log(
    `\n${rows} rows a side, key and ${SNAPSHOT_COLUMNS.length} columns; ${kind}, memory limit ${memoryMb} MB`,
  );
  console.log(
    `CSV ${cell(size('csv'), 0)} MB, Parquet ${cell(size('parquet'), 0)} MB; exactly what was injected was found\n`,
  );
  const shown = measured.filter(({ step }) => step !== 'make');
  const rowsOf = shown.map((each) => [each.step, cell(each.seconds), cell(each.cpuSeconds), cell(each.peakRssMiB, 0)]);
  console.log(`${table(['step', 'seconds', 'CPU seconds', 'peak RSS, MiB'], rowsOf)}\n`);
  if (kind !== 'duckdb') return;
  const secondsOf = (step: Step) => median(measured.filter((each) => each.step === step).map(({ seconds }) => seconds));
  const peak = Math.max(...shown.map(({ peakRssMiB }) => peakRssMiB ?? Number.NaN));
  const verdicts: readonly Verdict[] = [
    { what: 'missing ids', value: secondsOf('missing'), atMost: 3, unit: 's' },
    { what: 'all columns', value: secondsOf('compare'), atMost: 12, unit: 's' },
    { what: 'peak RSS', value: peak, atMost: 2048, unit: 'MiB' },
  ];
  for (const verdict of verdicts) console.log(verdictLine(verdict));
}
