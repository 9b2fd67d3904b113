/** How far the target is behind under a steady load, one document of which is updated all the time. */
import { loadDataset } from '../dataset.ts';
import type { LagWriterOrder } from '../lag-writer.ts';
import { ChildScript } from '../lib/child-script.ts';
import { Side } from '../lib/clusters.ts';
import { GodwitProcess } from '../lib/godwit.ts';
import { cell, note, table, type Verdict } from '../lib/print.ts';
import { percentile } from '../lib/statistics.ts';
import { LagProbe } from './probe.ts';
import { assertSame, followingPcsm, NAME, type PartOptions, runArgs } from './tools.ts';

export interface LagOptions extends PartOptions {
  readonly rate: number;
  readonly hotRate: number;
  readonly seconds: number;
  readonly godwitFlags: readonly string[];
}

interface Lags {
  readonly who: string;
  /** What the writer reached. */
  readonly perSecond: number;
  /** Seen from outside, ms. */
  readonly probeMs: readonly number[];
  /** As the tool itself says, ms. */
  readonly ownMs: readonly number[];
}

const HOUR_MS = 3_600_000;
const SETTLE_MS = 60_000;

export async function benchLag(options: LagOptions): Promise<{ lags: Lags[]; verdicts: Verdict[] }> {
  await using source = await Side.start('source');
  const { documents, bytes } = options;
  await loadDataset(source.cluster, NAME.db, NAME.collection, { documents, bytes, id: 'string' });
  const lags: Lags[] = [await godwitLag(source, options)];
  const pcsm = await pcsmLag(source, options);
  if (pcsm) lags.push(pcsm);

  console.log(
    `\nLag at ${options.rate} writes/s for ${options.seconds} s, one document updated ${options.hotRate} times/s\n`,
  );
  const rows = lags.map(({ who, perSecond, probeMs, ownMs }) => [
    who,
    cell(perSecond, 0),
    ...[0.5, 0.99, 1].map((p) => cell(percentile(probeMs, p), 0)),
    ...[0.5, 0.99].map((p) => cell(percentile(ownMs, p), 0)),
  ]);
  if (!pcsm) rows.push(['pcsm: missing']);
  console.log(table(['tool', 'writes/s', 'probe p50 ms', 'p99', 'most', 'own p50 ms', 'own p99'], rows));
  const [mine] = lags as [Lags];
  return {
    lags,
    verdicts: [
      { what: 'lag p99, seen from outside', value: percentile(mine.probeMs, 0.99) / 1000, atMost: 1, unit: 's' },
      { what: 'lag p99, by its own status', value: percentile(mine.ownMs, 0.99) / 1000, atMost: 1, unit: 's' },
      { what: 'writes/s reached ÷ asked for', value: mine.perSecond / options.rate, atLeast: 0.98 },
    ],
  };
}

async function godwitLag(source: Side, options: LagOptions): Promise<Lags> {
  await using target = await Side.start('target');
  const ownMs: number[] = [];
  let measuring = false;
  const args = ['run', ...runArgs(source, target, options.workDir, 'lag'), ...options.godwitFlags];
  const child = new GodwitProcess(args, {
    onStatus: (status) => {
      if (measuring && status.log.lagSeconds !== null) ownMs.push(status.log.lagSeconds * 1000);
    },
  });
  try {
    // The first proof comes by itself; what is measured is the long time afterwards.
    await child.until((status) => status.phase === 'verified', HOUR_MS);
    measuring = true;
    const seen = await underLoad(source, target, options, 1);
    measuring = false;
    await child.until((status) => (status.log.lagSeconds ?? Number.POSITIVE_INFINITY) < 1, SETTLE_MS);
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    await assertSame(source, target, 'godwit');
    return { who: 'godwit', ...seen, ownMs };
  } finally {
    await child.stop();
  }
}

async function pcsmLag(source: Side, options: LagOptions): Promise<Lags | undefined> {
  await using target = await Side.start('target');
  const pcsm = await followingPcsm(source, target);
  if (!pcsm) return undefined;
  const ownMs: number[] = [];
  const sample = setInterval(() => {
    void pcsm.status().then(
      (status) => ownMs.push(status.lagTimeSeconds * 1000),
      () => undefined,
    );
  }, 500);
  try {
    const seen = await underLoad(source, target, options, 2);
    return { who: 'pcsm (its own lag in whole seconds)', ...seen, ownMs };
  } finally {
    clearInterval(sample);
    await pcsm.close();
  }
}

async function underLoad(
  source: Side,
  target: Side,
  options: LagOptions,
  seed: number,
): Promise<{ perSecond: number; probeMs: number[] }> {
  const { rate, hotRate, seconds, bytes: documentBytes } = options;
  const order: LagWriterOrder = { uri: source.uri, ...NAME, documentBytes, seed, rate, hotRate, seconds };
  const writer = new ChildScript('lag-writer.ts', order);
  try {
    await writer.said('started', 120_000);
    const probe = new LagProbe(source, target, String(seed));
    await writer.end();
    const probeMs = await probe.end();
    const perSecond = Number(await writer.said('perSecond', 1));
    note(`${cell(perSecond, 0)} writes/s, ${probeMs.length} probes, p99 ${cell(percentile(probeMs, 0.99), 0)} ms`);
    return { perSecond, probeMs };
  } finally {
    if (writer.process.running) await writer.process.stop('SIGKILL');
  }
}
