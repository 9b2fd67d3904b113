/** How fast a backlog of writes is applied: events per second, beside pcsm and the target's own ceiling. */
import { setTimeout as sleep } from 'node:timers/promises';
import { loadDataset } from '../dataset.ts';
import { Side } from '../lib/clusters.ts';
import { GodwitProcess } from '../lib/godwit.ts';
import { readCollection, sendCollection } from '../lib/memory-copy.ts';
import type { Pcsm } from '../lib/pcsm.ts';
import { cell, note, table, type Verdict } from '../lib/print.ts';
import { medianOfKnown } from '../lib/statistics.ts';
import { makeOperations, type OperationBatch, readIds, sendBatch } from './operations.ts';
import { assertSame, followingPcsm, NAME, type PartOptions, runArgs, waitForMarkers, writeMarkers } from './tools.ts';

export interface BacklogOptions extends PartOptions {
  readonly operations: number;
  readonly repeat: number;
  readonly godwitFlags: readonly string[];
}

/** One way of applying one backlog. */
interface Applied {
  readonly who: 'ceiling' | 'godwit' | 'pcsm';
  readonly seconds: number;
  readonly cpuSeconds?: number;
  readonly peakRssMiB?: number;
  readonly detail?: string;
}

const BATCH = 1000;
const CEILING_LANES = 4;
const HOUR_MS = 3_600_000;
/**
 * `--until following` is content with a lag below five seconds: after this
 * pause no part of the backlog can pass for recent.
 */
const OLD_ENOUGH_MS = 6_000;

export async function benchBacklog(options: BacklogOptions): Promise<{ applied: Applied[]; verdicts: Verdict[] }> {
  const applied: Applied[] = [];
  for (let round = 0; round < options.repeat; round += 1) applied.push(...(await oneRound(options, round)));
  const rate = (who: Applied['who']): number | undefined =>
    medianOfKnown(applied.filter((each) => each.who === who).map((each) => options.operations / each.seconds));
  const rows = (['ceiling', 'godwit', 'pcsm'] as const).map((who) => {
    const mine = applied.filter((each) => each.who === who);
    const of = (pick: (each: Applied) => number | undefined) => medianOfKnown(mine.map(pick));
    const name = who === 'ceiling' ? `ceiling (unordered bulks, ${CEILING_LANES} connections)` : who;
    const shown = who === 'pcsm' && mine.length === 0 ? 'pcsm: missing' : name;
    return [
      shown,
      cell(
        of((e) => e.seconds),
        2,
      ),
      cell(rate(who), 0),
      cell(of((e) => e.cpuSeconds)),
      cell(
        of((e) => e.peakRssMiB),
        0,
      ),
    ];
  });
  console.log(
    `\nBacklog of ${options.operations} mixed operations on ${options.documents} documents, median of ${options.repeat}\n`,
  );
  console.log(table(['contender', 'seconds', 'events/s', 'CPU s', 'RSS MiB'], rows));
  const [godwit, pcsm, ceiling] = [rate('godwit'), rate('pcsm'), rate('ceiling')];
  const verdicts: Verdict[] = [
    {
      what: 'events/s ÷ pcsm’s',
      value: godwit !== undefined && pcsm !== undefined ? godwit / pcsm : undefined,
      atLeast: 1.4,
    },
    {
      what: 'events/s ÷ ceiling’s',
      value: godwit !== undefined && ceiling !== undefined ? godwit / ceiling : undefined,
      atLeast: 0.8,
    },
  ];
  return { applied, verdicts };
}

async function oneRound(options: BacklogOptions, round: number): Promise<Applied[]> {
  const { documents, bytes, operations, workDir } = options;
  await using source = await Side.start('source');
  await loadDataset(source.cluster, NAME.db, NAME.collection, { documents, bytes, id: 'string' });
  const ids = await readIds(source.cluster, NAME);
  await using forGodwit = await Side.start('godwit');
  await using forPcsm = await Side.start('pcsm');
  await using forCeiling = await Side.start('ceiling');

  note('initial copies');
  const run = `backlog-${round}`;
  const args = ['run', ...runArgs(source, forGodwit, workDir, run), '--until', 'following', ...options.godwitFlags];
  await new GodwitProcess(args).end();
  const batches = await readCollection(source.cluster, NAME, true);
  await sendCollection(forCeiling.cluster, NAME, batches, { connections: 2, sharing: 'next' });
  const pcsm = await followingPcsm(source, forPcsm);
  try {
    await pcsm?.command('/pause');
    await pcsm?.until((status) => status.state === 'paused', 60_000);

    const plan = { ids, operations, documentBytes: bytes, seed: 11 + round, batchSize: BATCH };
    const marker = String(round);
    const began = performance.now();
    await writeAll(source, makeOperations({ ...plan, lanes: 1 }));
    await writeMarkers(source, marker);
    note(`wrote a backlog of ${operations} operations in ${cell((performance.now() - began) / 1000)} s`);
    await sleep(OLD_ENOUGH_MS);

    const turns: (() => Promise<Applied | undefined>)[] = [
      () => ceiling(forCeiling, makeOperations({ ...plan, lanes: CEILING_LANES }), marker),
      () => godwit(args, forGodwit, marker),
      () => resumePcsm(pcsm, forPcsm, marker),
    ];
    const sides = { ceiling: forCeiling, godwit: forGodwit, pcsm: forPcsm };
    const applied: Applied[] = [];
    for (let i = 0; i < turns.length; i += 1) {
      const one = await (turns[(i + round) % turns.length] as (typeof turns)[number])();
      if (one === undefined) continue;
      await assertSame(source, sides[one.who], one.who);
      const { who, seconds, cpuSeconds, peakRssMiB, detail } = one;
      note(
        `${who}: ${cell(seconds, 2)} s, ${cell(operations / seconds, 0)} events/s, CPU ${cell(cpuSeconds)} s, RSS ${cell(peakRssMiB, 0)} MiB${detail ? `; ${detail}` : ''}`,
      );
      applied.push(one);
    }
    return applied;
  } finally {
    await pcsm?.close();
  }
}

/** Each lane over a connection of its own. */
async function writeAll(side: Side, lanes: readonly (readonly OperationBatch[])[]): Promise<void> {
  await Promise.all(
    lanes.map(async (batches) => {
      const connection = await side.cluster.connectPrimary();
      try {
        for (const batch of batches) await sendBatch(connection, NAME, batch);
      } finally {
        connection.close();
      }
    }),
  );
}

async function ceiling(target: Side, lanes: OperationBatch[][], marker: string): Promise<Applied> {
  const began = performance.now();
  await writeAll(target, lanes);
  await writeMarkers(target, marker);
  return { who: 'ceiling', seconds: (performance.now() - began) / 1000 };
}

/** From the start of the process, which reads the whole backlog from the source's log. */
async function godwit(args: readonly string[], target: Side, marker: string): Promise<Applied> {
  const child = new GodwitProcess(args);
  try {
    await waitForMarkers(target, marker, HOUR_MS);
    const arrivedMs = performance.now();
    const exit = await child.end();
    const detail = `${cell((arrivedMs - (child.firstStatusMs ?? Number.NaN)) / 1000, 2)} s since its first status`;
    const seconds = (arrivedMs - child.process.startedMs) / 1000;
    return { who: 'godwit', seconds, cpuSeconds: exit.cpuSeconds, peakRssMiB: exit.peakRssMiB, detail };
  } finally {
    if (child.process.running) await child.process.stop('SIGKILL');
  }
}

/** From the command to go on: its process ran all the while. */
async function resumePcsm(pcsm: Pcsm | undefined, target: Side, marker: string): Promise<Applied | undefined> {
  if (pcsm === undefined) return undefined;
  const began = performance.now();
  const before = pcsm.process.cpuSeconds;
  await pcsm.command('/resume');
  await waitForMarkers(target, marker, HOUR_MS);
  const seconds = (performance.now() - began) / 1000;
  const after = pcsm.process.cpuSeconds;
  const cpuSeconds = before === undefined || after === undefined ? undefined : after - before;
  const applied = (await pcsm.status()).eventsApplied;
  return {
    who: 'pcsm',
    seconds,
    cpuSeconds,
    peakRssMiB: pcsm.process.peakRssMiB,
    detail: `${applied} events by its own count`,
  };
}
