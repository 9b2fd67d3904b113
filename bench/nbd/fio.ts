import { findBlockTool } from '../../test/servers/block-tools.ts';
import { runCommand } from '../../test/servers/run-command.ts';

export interface FioOrder {
  readonly socket: string;
  readonly exportName?: string;
  readonly rw: 'randread' | 'randwrite';
  readonly depth: number;
  /** Every write is followed by a flush. */
  readonly durable: boolean;
  readonly seconds: number;
  readonly sizeMiB: number;
}

export interface FioResult {
  readonly iops: number;
  /** Of the requests themselves, in milliseconds. */
  readonly p50Ms: number;
  readonly p99Ms: number;
}

interface FioSide {
  readonly iops: number;
  readonly total_ios: number;
  readonly clat_ns: { readonly percentile?: Readonly<Record<string, number>> };
}

/** 4 KiB at random places, for so many seconds after one of warming up. */
export async function runFio(order: FioOrder): Promise<FioResult> {
  const { socket, exportName = '', rw, depth, durable, seconds, sizeMiB } = order;
  const args = [
    ...['--name=bench', '--ioengine=nbd', `--uri=nbd+unix:///${exportName}?socket=${socket}`, `--rw=${rw}`, '--bs=4k'],
    ...[`--iodepth=${depth}`, `--size=${sizeMiB}m`, '--time_based', `--runtime=${seconds}`, '--ramp_time=1'],
    ...['--randrepeat=1', '--norandommap', '--output-format=json', ...(durable ? ['--fsync=1'] : [])],
  ];
  const { code, stdout, stderr } = await runCommand(await findBlockTool('fio'), args);
  if (code !== 0) throw new Error(`fio ${args.join(' ')} ended with ${code}: ${stderr}`);
  const [job] = JSON.parse(stdout.slice(stdout.indexOf('{'), stdout.lastIndexOf('}') + 1)).jobs;
  const side: FioSide = rw === 'randread' ? job.read : job.write;
  if (job.error !== 0 || side.total_ios === 0) throw new Error(`fio did nothing: error ${job.error}`);
  const at = (percentile: string) => (side.clat_ns.percentile?.[percentile] ?? Number.NaN) / 1e6;
  return { iops: side.iops, p50Ms: at('50.000000'), p99Ms: at('99.000000') };
}
