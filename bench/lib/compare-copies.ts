/** Runs every contender on one data set and sets their medians side by side. */
import { setTimeout as sleep } from 'node:timers/promises';
import { type DatasetOptions, loadDataset } from '../dataset.ts';
import { assertCopied, Side } from './clusters.ts';
import type { Contender, CopyFigures } from './contenders.ts';
import { readCollection } from './memory-copy.ts';
import { findPeer } from './peers.ts';
import { cell, note, table, type Verdict } from './print.ts';
import { median, medianOfKnown } from './statistics.ts';

const DB = 'shop';
const COLLECTION = 'orders';

export interface CompareOptions {
  readonly dataset: DatasetOptions;
  readonly contenders: readonly Contender[];
  readonly repeat: number;
  readonly workDir: string;
}

/** One contender in one way of using it. */
export interface CopyResult {
  readonly name: Contender['name'];
  readonly variant: string;
  readonly missing: readonly string[];
  readonly runs: readonly CopyFigures[];
  /** Medians. */
  readonly seconds: number | undefined;
  readonly cpuSeconds: number | undefined;
  readonly peakRssMiB: number | undefined;
}

export interface Comparison {
  readonly dataset: DatasetOptions;
  /** Of documents, as the source counts them. */
  readonly bytes: number;
  readonly results: readonly CopyResult[];
}

export async function compareCopies(options: CompareOptions): Promise<Comparison> {
  const { dataset, contenders } = options;
  await using source = await Side.start('source');
  note(`loading ${dataset.documents} documents of ${dataset.bytes} bytes, ${dataset.id} ids`);
  const began = performance.now();
  await loadDataset(source.cluster, DB, COLLECTION, dataset);
  const bytes = Number((await source.cluster.command(DB, { collStats: COLLECTION }))['size']);
  note(`loaded ${cell(bytes / 1e6, 0)} MB in ${cell((performance.now() - began) / 1000)} s`);
  await source.cluster.command('admin', { fsync: 1 });
  await readCollection(source.cluster, { db: DB, collection: COLLECTION }, false);

  const present = contenders.filter((contender) => missingOf(contender).length === 0);
  const runs = new Map<Contender, CopyFigures[]>();
  for (let round = 0; round < options.repeat; round += 1) {
    // Each round begins with another one, so that none is always first or always behind the same one.
    const turned = present.map((_, i) => present[(i + round) % present.length] as Contender);
    for (const contender of turned) {
      const figures = await runOne(
        contender,
        source,
        options,
        `${dataset.id}-${dataset.bytes}-${round}-${contenders.indexOf(contender)}`,
      );
      runs.set(contender, [...(runs.get(contender) ?? []), figures]);
    }
  }
  return { dataset, bytes, results: contenders.map((contender) => resultOf(contender, runs.get(contender) ?? [])) };
}

async function runOne(
  contender: Contender,
  source: Side,
  options: CompareOptions,
  label: string,
): Promise<CopyFigures> {
  await using target = await Side.start('target');
  await sleep(500);
  const { workDir, dataset } = options;
  const figures = await contender.run({ source, target, db: DB, collection: COLLECTION, workDir, label });
  await assertCopied(target, { db: DB, collection: COLLECTION }, dataset.documents);
  const { seconds, cpuSeconds, peakRssMiB, detail } = figures;
  const used = `CPU ${cell(cpuSeconds)} s, RSS ${cell(peakRssMiB, 0)} MiB`;
  note(`${contender.name} (${contender.variant}): ${cell(seconds, 2)} s, ${used}${detail ? `; ${detail}` : ''}`);
  return figures;
}

function missingOf(contender: Contender): string[] {
  return contender.needs.filter((peer) => findPeer(peer) === undefined);
}

function resultOf(contender: Contender, runs: readonly CopyFigures[]): CopyResult {
  return {
    name: contender.name,
    variant: contender.variant,
    missing: missingOf(contender),
    runs,
    seconds: runs.length === 0 ? undefined : median(runs.map((run) => run.seconds)),
    cpuSeconds: medianOfKnown(runs.map((run) => run.cpuSeconds)),
    peakRssMiB: medianOfKnown(runs.map((run) => run.peakRssMiB)),
  };
}

/** The fastest variant of the contenders of these names; undefined when none was measured. */
function bestOf(results: readonly CopyResult[], ...names: Contender['name'][]): CopyResult | undefined {
  const measured = results.filter((result) => names.includes(result.name) && result.seconds !== undefined);
  return measured.sort((a, b) => (a.seconds as number) - (b.seconds as number))[0];
}

function ratio(a: number | undefined, b: number | undefined): number | undefined {
  return a === undefined || b === undefined || b === 0 ? undefined : a / b;
}

export function comparisonTable({ results, bytes }: Comparison): string {
  const ceiling = bestOf(results, 'ceiling')?.seconds;
  const rival = bestOf(results, 'mongodump', 'pcsm')?.seconds;
  const headings = ['contender', 'seconds', 'MB/s', 'CPU s', 'RSS MiB', '÷ ceiling', '÷ fastest rival'];
  const rows = results.map((result) => {
    const name = `${result.name === 'mongodump' ? 'mongodump/mongorestore' : result.name} (${result.variant})`;
    if (result.missing.length > 0)
      return [`${name}: missing ${result.missing.join(', ')}`, ...headings.slice(1).map(() => '–')];
    const { seconds } = result;
    return [
      name,
      cell(seconds, 2),
      cell(ratio(bytes / 1e6, seconds)),
      cell(result.cpuSeconds),
      cell(result.peakRssMiB, 0),
      cell(ratio(seconds, ceiling), 2),
      cell(ratio(seconds, rival), 2),
    ];
  });
  return table(headings, rows);
}

/** The issue's targets for the copy. */
export function copyVerdicts({ results }: Comparison): Verdict[] {
  const godwit = bestOf(results, 'godwit');
  const rival = bestOf(results, 'mongodump', 'pcsm');
  const pcsmCpu = results.filter((result) => result.name === 'pcsm').map((result) => result.cpuSeconds);
  const leastCpu = Math.min(...pcsmCpu.filter((value) => value !== undefined));
  return [
    { what: 'time ÷ fastest rival’s', value: ratio(godwit?.seconds, rival?.seconds), atMost: 0.5 },
    { what: 'time ÷ ceiling’s', value: ratio(godwit?.seconds, bestOf(results, 'ceiling')?.seconds), atMost: 1.2 },
    {
      what: 'CPU ÷ pcsm’s',
      value: Number.isFinite(leastCpu) ? ratio(godwit?.cpuSeconds, leastCpu) : undefined,
      atMost: 0.25,
    },
    { what: 'peak RSS', value: godwit?.peakRssMiB, atMost: 400, unit: 'MiB' },
  ];
}

/** The issue's target for the other shapes of data. */
export function shapeVerdicts({ results }: Comparison): Verdict[] {
  const rival = bestOf(results, 'mongodump', 'pcsm');
  return [
    { what: 'time ÷ fastest rival’s', value: ratio(bestOf(results, 'godwit')?.seconds, rival?.seconds), atMost: 1 },
  ];
}
