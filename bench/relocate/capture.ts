/** What capture costs those who write: fio and pgbench with and without it, in turns. */
import { chmodSync, mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { mountFresh } from '../../test/files/file-system.ts';
import { needPrograms } from '../../test/files/packages.ts';
import { findBlockTool } from '../../test/servers/block-tools.ts';
import { startPostgres } from '../../test/servers/postgres.ts';
import { runCommand } from '../../test/servers/run-command.ts';
import { waitFor } from '../../test/servers/wait-for.ts';
import { MeasuredProcess } from '../lib/measured-process.ts';
import { cell, note } from '../lib/print.ts';
import { median } from '../lib/statistics.ts';

/** What fio does: 4 KiB at random places of 256 MiB. */
const SHAPES = {
  'fdatasync each': ['--ioengine=psync', '--fdatasync=1'],
  'direct, 16 at a time': ['--ioengine=libaio', '--direct=1', '--iodepth=16'],
  'page cache, flushed every 64': ['--ioengine=psync', '--fsync=64'],
  'page cache, never flushed': ['--ioengine=psync', '--end_fsync=0'],
} as const;

export interface Overhead {
  readonly what: string;
  /** Operations, or transactions, a second: medians. */
  readonly without: number;
  readonly captured: number;
  /** Events, and pages or inodes that became dirty, a second; processor seconds a second. */
  readonly told: string;
}

export async function captureOverhead(options: { repeat: number; seconds: number; tps: boolean }): Promise<Overhead[]> {
  await needPrograms('mkfs.ext4');
  await using place = await mountFresh('ext4', 4_000);
  // PostgreSQL runs as a user of its own.
  chmodSync(dirname(place.dir), 0o755);
  const { repeat, seconds } = options;
  const overheads: Overhead[] = [];
  const files = join(place.dir, 'fio');
  mkdirSync(files);
  for (const [name, flags] of Object.entries(SHAPES)) {
    const once = () => fio(files, flags, seconds);
    await once();
    overheads.push(await inTurns(`fio, ${name}`, place.dir, repeat, once));
  }
  if (!options.tps) return overheads;
  const server = await startPostgres({ data: { dir: join(place.dir, 'data'), password: 'bench' } });
  try {
    await pgbench(['-i', '-q', '-s', '20', server.socketUri]);
    const once = async () => {
      const said = await pgbench(['-n', '-c', '4', '-j', '1', '-T', String(seconds * 2), server.socketUri]);
      return Number(/tps = ([\d.]+)/.exec(said)?.[1]);
    };
    await once();
    overheads.push(await inTurns('pgbench, 4 clients', place.dir, repeat, once));
  } finally {
    await server.stop();
  }
  return overheads;
}

async function inTurns(what: string, dir: string, repeat: number, once: () => Promise<number>): Promise<Overhead> {
  const rates: Record<'without' | 'captured', number[]> = { without: [], captured: [] };
  let told = '';
  for (let round = 0; round < repeat; round += 1) {
    for (const which of round % 2 === 0 ? (['without', 'captured'] as const) : (['captured', 'without'] as const)) {
      if (which === 'without') rates.without.push(await once());
      else {
        const done = await captured(dir, once);
        rates.captured.push(done.rate);
        told = done.told;
      }
      note(`${what}, ${which}: ${cell(rates[which].at(-1), 0)} a second`);
    }
  }
  return { what, without: median(rates.without), captured: median(rates.captured), told };
}

async function captured(dir: string, once: () => Promise<number>): Promise<{ rate: number; told: string }> {
  let isReady = false;
  let told = '';
  const capture = new MeasuredProcess(
    [process.execPath, '--import', 'tsx', join(import.meta.dirname, '../capturing.ts'), dir],
    {
      onLine: (line) => {
        if (line === 'ready') isReady = true;
        else told = line;
      },
    },
  );
  await waitFor(() => isReady || !capture.running, { timeoutMs: 30_000, what: 'capture' });
  const from = performance.now();
  const rate = await once();
  const seconds = (performance.now() - from) / 1000;
  const { code } = await capture.stop('SIGTERM');
  if (code !== 0) throw new Error(`capture ended with ${code}: ${capture.tail}`);
  const counts = JSON.parse(told) as { events: number; dirtied: number; lost: number; cpuSeconds: number };
  const each = (count: number) => cell(count / seconds, 0);
  return {
    rate,
    told: `${each(counts.events)} events, ${each(counts.dirtied)} pages, ${counts.lost} lost, ${cell(counts.cpuSeconds, 2)} CPU s in all`,
  };
}

async function fio(dir: string, flags: readonly string[], seconds: number): Promise<number> {
  const args = [
    ...['--name=bench', `--directory=${dir}`, '--rw=randwrite', '--bs=4k', '--size=256m', '--time_based'],
    ...[`--runtime=${seconds}`, '--ramp_time=1', '--randrepeat=1', '--norandommap', '--output-format=json', ...flags],
  ];
  const { code, stdout, stderr } = await runCommand(await findBlockTool('fio'), args);
  if (code !== 0) throw new Error(`fio ${args.join(' ')} ended with ${code}: ${stderr}`);
  return JSON.parse(stdout.slice(stdout.indexOf('{'), stdout.lastIndexOf('}') + 1)).jobs[0].write.iops as number;
}

async function pgbench(args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await runCommand('pgbench', args);
  if (code !== 0) throw new Error(`pgbench ended with ${code}: ${stderr}`);
  return stdout;
}
