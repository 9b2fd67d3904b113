/**
 * What capture costs those who write: it is turned on and off while one fio, or one pgbench, goes on.
 *
 * Disks change their mind about how fast they are within seconds; so each stretch with capture is set against the
 * stretches beside it, and the median of these ratios counts. Each is of another length: kernels write back what is dirty
 * every five seconds, and turns of the same length would find that in every second one, with capture or without.
 */
import { chmodSync, mkdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { mountFresh } from '../../test/files/file-system.ts';
import { needPrograms } from '../../test/files/packages.ts';
import { findBlockTool } from '../../test/servers/block-tools.ts';
import { startPostgres } from '../../test/servers/postgres.ts';
import { runCommand } from '../../test/servers/run-command.ts';
import { waitFor } from '../../test/servers/wait-for.ts';
import { MeasuredProcess } from '../lib/measured-process.ts';
import { cell, note } from '../lib/print.ts';
import { median, percentile } from '../lib/statistics.ts';

/** What fio does: 4 KiB at random places of 256 MiB. */
const SHAPES = {
  'fdatasync each': ['--ioengine=psync', '--fdatasync=1'],
  'direct, 16 at a time': ['--ioengine=libaio', '--direct=1', '--iodepth=16'],
  'page cache, flushed every 64': ['--ioengine=psync', '--fsync=64'],
  'page cache, never flushed': ['--ioengine=psync', '--end_fsync=0'],
} as const;
/** After each turn nothing counts for so long. */
const SETTLE_MS = 250;
const FIRST_MS = 2_000;

export interface Overhead {
  readonly what: string;
  /** Operations, or transactions, a second: medians of the stretches. */
  readonly without: number;
  readonly captured: number;
  /** What is missing with capture, beside the stretches around it: median, and the quartiles. */
  readonly percent: number;
  readonly quartiles: readonly [number, number];
  /** While it was on: events, and pages or inodes that became dirty, a second; processor seconds a second. */
  readonly told: string;
}

/** What was done a second, and when by the clock of the wall. */
interface Point {
  readonly atMs: number;
  readonly rate: number;
}

/** Goes on for so many seconds. */
type Load = (seconds: number) => Promise<readonly Point[]>;

export interface TurnOptions {
  /** Stretches with capture; without it there is one more. */
  readonly turns: number;
  readonly seconds: number;
}

export async function captureOverhead(options: TurnOptions & { tps: boolean }): Promise<Overhead[]> {
  await needPrograms('mkfs.ext4');
  await using place = await mountFresh('ext4', 4_000);
  // PostgreSQL runs as a user of its own.
  chmodSync(dirname(place.dir), 0o755);
  const overheads: Overhead[] = [];
  const measure = async (what: string, load: Load) => {
    const found = await inTurns(what, place.dir, options, load);
    const [low, high] = found.quartiles.map((value) => cell(value, 1));
    note(`${what}: ${cell(found.percent, 1)} % (${low} to ${high}), ${found.told}`);
    overheads.push(found);
  };
  const files = join(place.dir, 'fio');
  mkdirSync(files);
  for (const [name, flags] of Object.entries(SHAPES))
    await measure(`fio, ${name}`, (seconds) => fio(files, dirname(place.dir), flags, seconds));
  if (!options.tps) return overheads;
  const server = await startPostgres({ data: { dir: join(place.dir, 'data'), password: 'bench' } });
  try {
    await pgbench(['-i', '-q', '-s', '20', server.socketUri]);
    await measure('pgbench, 4 clients', async (seconds) => {
      const words = ['-n', '-c', '4', '-j', '1', '-T', String(Math.ceil(seconds)), '-P', '1', '--progress-timestamp'];
      const told = await pgbench([...words, server.socketUri]);
      return [...told.matchAll(/^progress: ([\d.]+) s, ([\d.]+) tps/gm)].map(([, at, tps]) => ({
        // Of the second that ended then.
        atMs: Number(at) * 1000 - 500,
        rate: Number(tps),
      }));
    });
  } finally {
    await server.stop();
  }
  return overheads;
}

async function inTurns(what: string, dir: string, { turns, seconds }: TurnOptions, load: Load): Promise<Overhead> {
  let last: { events: number; dirtied: number; lost: number; milliseconds: number; cpuMicros: number };
  let answers = 0;
  const capture = new MeasuredProcess(
    [process.execPath, '--import', 'tsx', join(import.meta.dirname, '../capturing.ts'), dir],
    {
      onLine: (line) => {
        last = JSON.parse(line);
        answers += 1;
      },
    },
  );
  const answered = (count: number) =>
    waitFor(() => answers >= count || !capture.running, { timeoutMs: 30_000, what: 'capture' });
  await answered(1);
  const stretches: { fromMs: number; toMs: number }[] = [];
  const running = load(FIRST_MS / 1000 + 1.2 * (2 * turns + 1) * seconds + 2);
  const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));
  await pause(FIRST_MS);
  for (let at = 0; at <= 2 * turns; at += 1) {
    if (at > 0) {
      capture.signal('SIGUSR2');
      await answered(at + 1);
    }
    const fromMs = Date.now() + SETTLE_MS;
    await pause(seconds * 1000 * (0.5 + Math.random()));
    stretches.push({ fromMs, toMs: Date.now() });
  }
  const points = await running;
  const { code } = await capture.stop('SIGTERM');
  if (code !== 0) throw new Error(`capture ended with ${code}: ${capture.tail}`);
  const rates = stretches.map(({ fromMs, toMs }) => {
    const within = points.filter(({ atMs }) => atMs >= fromMs && atMs <= toMs);
    if (within.length === 0) throw new Error(`${what} told nothing for ${toMs - fromMs} ms`);
    return within.reduce((sum, { rate }) => sum + rate, 0) / within.length;
  });
  const rate = (at: number) => rates[at] as number;
  const captured = rates.flatMap((_, at) => (at % 2 === 1 ? [at] : []));
  const percents = captured.map((at) => 100 * (1 - (2 * rate(at)) / (rate(at - 1) + rate(at + 1))));
  const { events, dirtied, lost, milliseconds, cpuMicros } = last!;
  const each = (count: number) => cell((count * 1000) / milliseconds, 0);
  return {
    what,
    without: median(rates.filter((_, at) => at % 2 === 0)),
    captured: median(captured.map(rate)),
    percent: median(percents),
    quartiles: [percentile(percents, 0.25), percentile(percents, 0.75)],
    told: `${each(events)} events, ${each(dirtied)} pages, ${lost} lost, ${cell(cpuMicros / 1000 / milliseconds, 2)} processors`,
  };
}

async function fio(dir: string, logs: string, flags: readonly string[], seconds: number): Promise<readonly Point[]> {
  const log = join(logs, 'rates');
  const args = [
    ...['--name=bench', `--directory=${dir}`, '--rw=randwrite', '--bs=4k', '--size=256m', '--time_based'],
    ...[`--runtime=${seconds}`, '--randrepeat=1', '--norandommap', `--write_iops_log=${log}`],
    ...['--log_avg_msec=250', '--log_unix_epoch=1', '--per_job_logs=0', ...flags],
  ];
  const { code, stderr } = await runCommand(await findBlockTool('fio'), args);
  if (code !== 0) throw new Error(`fio ${args.join(' ')} ended with ${code}: ${stderr}`);
  return readFileSync(`${log}_iops.log`, 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => line.split(',').map(Number))
    .flatMap(([atMs, rate, direction]) => (direction === 1 ? [{ atMs: atMs as number, rate: rate as number }] : []));
}

/** What it says while it goes on is told on the other stream. */
async function pgbench(args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await runCommand('pgbench', args);
  if (code !== 0) throw new Error(`pgbench ended with ${code}: ${stderr}`);
  return stdout + stderr;
}
