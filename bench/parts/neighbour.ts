/** What another business on the source feels of a copy, unthrottled and throttled. */
import { setTimeout as sleep } from 'node:timers/promises';
import { loadDataset } from '../dataset.ts';
import { ChildScript } from '../lib/child-script.ts';
import { assertCopied, Side } from '../lib/clusters.ts';
import { GodwitProcess } from '../lib/godwit.ts';
import { cell, note, table, type Verdict } from '../lib/print.ts';
import { percentile } from '../lib/statistics.ts';
import type { NeighbourOrder } from '../neighbour-load.ts';
import { NAME, type PartOptions, runArgs } from './tools.ts';

export interface NeighbourOptions extends PartOptions {
  /** Operations a second of the neighbour. */
  readonly rate: number;
  /** How long it is watched without a copy. */
  readonly quietSeconds: number;
  readonly godwitFlags: readonly string[];
}

/** A stretch of time, and what the neighbour felt in it. */
interface Felt {
  readonly when: string;
  readonly operations: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** Of the copy in it. */
  readonly mbPerSecond: number | undefined;
}

const NEIGHBOUR_DOCUMENTS = 50_000;
const SETTLE_MS = 3_000;

export async function benchNeighbour(options: NeighbourOptions): Promise<{ felt: Felt[]; verdicts: Verdict[] }> {
  const { documents, bytes, rate, quietSeconds } = options;
  await using source = await Side.start('source');
  await loadDataset(source.cluster, NAME.db, NAME.collection, { documents, bytes, id: 'string' });
  await source.cluster.command('admin', { fsync: 1 });
  const order: NeighbourOrder = { uri: source.uri, documents: NEIGHBOUR_DOCUMENTS, rate };
  const neighbour = new ChildScript('neighbour-load.ts', order);
  try {
    await neighbour.said('at', 120_000);
    const quiet = async (when: string): Promise<Felt> => {
      await sleep(SETTLE_MS);
      const from = Date.now();
      await sleep(quietSeconds * 1000);
      return feltBetween(neighbour, when, from, Date.now());
    };
    const felt = [await quiet('before')];
    felt.push(await duringCopy(source, neighbour, options, 'off'));
    felt.push(await quiet('between'));
    felt.push(await duringCopy(source, neighbour, options, 'auto'));
    felt.push(await quiet('after'));
    show(felt, rate);
    return { felt, verdicts: verdictsOf(felt) };
  } finally {
    await neighbour.process.stop('SIGKILL');
  }
}

/** From the first document copied to the last: building indexes is the target's affair alone. */
async function duringCopy(
  source: Side,
  neighbour: ChildScript,
  options: NeighbourOptions,
  throttle: 'off' | 'auto',
): Promise<Felt> {
  await using target = await Side.start('target');
  await sleep(SETTLE_MS);
  const { workDir, documents, godwitFlags } = options;
  let [from, to, bytes] = [0, 0, 0];
  const args = [
    ...runArgs(source, target, workDir, `neighbour-${throttle}`),
    '--until',
    'copied',
    '--throttle',
    throttle,
  ];
  const child = new GodwitProcess(['run', ...args, ...godwitFlags], {
    onStatus: ({ copy }) => {
      if (copy.bytes > bytes) {
        if (from === 0) from = Date.now();
        to = Date.now();
        bytes = copy.bytes;
      }
    },
  });
  await child.end();
  await assertCopied(target, NAME, documents);
  // Statuses come twice a second: the copy began up to so much before the first that saw it.
  const felt = feltBetween(neighbour, `copy, --throttle ${throttle}`, from - 500, to);
  const withRate = { ...felt, mbPerSecond: bytes / 1e6 / ((to - from + 500) / 1000) };
  note(`${felt.when}: p99 ${cell(felt.p99Ms)} ms, ${cell(withRate.mbPerSecond)} MB/s`);
  return withRate;
}

function feltBetween(neighbour: ChildScript, when: string, from: number, to: number): Felt {
  const inside = neighbour.lines.filter((line) => Number(line['at']) > from && Number(line['at']) <= to);
  const latencies = inside.flatMap((line) => line['micros'] as number[]).map((micros) => micros / 1000);
  if (latencies.length === 0) throw new Error(`the neighbour did nothing in "${when}", ${to - from} ms`);
  const [p50Ms, p99Ms] = [percentile(latencies, 0.5), percentile(latencies, 0.99)];
  return { when, operations: latencies.length, p50Ms, p99Ms, mbPerSecond: undefined };
}

function show(felt: readonly Felt[], rate: number): void {
  const before = felt[0]?.p99Ms ?? Number.NaN;
  console.log(`\nA neighbour with ${rate} operations/s on the source\n`);
  const rows = felt.map((each) => [
    each.when,
    String(each.operations),
    cell(each.p50Ms, 2),
    cell(each.p99Ms, 2),
    cell(each.p99Ms / before, 2),
    cell(each.mbPerSecond),
  ]);
  console.log(table(['when', 'operations', 'p50 ms', 'p99 ms', '÷ before', 'copy MB/s'], rows));
}

function verdictsOf(felt: readonly Felt[]): Verdict[] {
  const p99 = (when: string): number => felt.find((each) => each.when === when)?.p99Ms ?? Number.NaN;
  const value = p99('copy, --throttle auto') / p99('before');
  return [{ what: 'neighbour’s p99 during the throttled copy ÷ before', value, atMost: 1.25 }];
}
