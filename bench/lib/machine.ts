import { cpus, release, totalmem } from 'node:os';
import { findMongod } from '../../test/servers/index.ts';
import { runCommand } from '../../test/servers/run-command.ts';

/** What the figures were made on: without it they mean nothing. */
export interface Host {
  readonly at: string;
  readonly cpu: string;
  readonly cores: number;
  readonly memoryGiB: number;
  readonly kernel: string;
  readonly node: string;
  readonly commit: string;
}

export interface Machine extends Host {
  readonly mongod: string;
}

export async function describeMachine(): Promise<Machine> {
  const mongod = (await runCommand(await findMongod(), ['--version'])).stdout;
  return { ...(await describeHost()), mongod: /db version (v\S+)/.exec(mongod)?.[1] ?? 'unknown' };
}

export async function describeHost(): Promise<Host> {
  const commit = await runCommand('git', ['describe', '--always', '--dirty']);
  return {
    at: new Date().toISOString(),
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: cpus().length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    kernel: release(),
    node: process.version,
    commit: commit.code === 0 ? commit.stdout.trim() : 'unknown',
  };
}

export function machineLine(machine: Machine): string {
  return `${hostLine(machine)}, mongod ${machine.mongod}`;
}

export function hostLine({ cores, cpu, memoryGiB, kernel, node, commit }: Host): string {
  return `${cores} × ${cpu}, ${memoryGiB} GiB, Linux ${kernel}, Node ${node}, commit ${commit}`;
}
