/** Who used the processors: without it a rate that was not reached says nothing. */
import { readFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { cpuSecondsOf, treeOf } from '../../bench/lib/process-stats.ts';

/** CPU seconds so far; those of processes are 0 where there is no `/proc`. */
export interface Cpu {
  readonly application: number;
  readonly relay: number;
  readonly postgres: number;
  /** Of this process: commands that compare, and who injects faults. */
  readonly comparing: number;
  /** Everything on this machine, these four and others. */
  readonly machine: number;
}

export interface Watched {
  readonly application: readonly number[];
  readonly relay: readonly number[];
  readonly postgres: readonly number[];
}

export function cpuSoFar({ application, relay, postgres }: Watched): Cpu {
  const of = (pids: readonly number[]) => pids.flatMap(treeOf).reduce((sum, pid) => sum + (cpuSecondsOf(pid) ?? 0), 0);
  const { user, system } = process.cpuUsage();
  return {
    application: of(application),
    relay: of(relay),
    postgres: of(postgres),
    comparing: (user + system) / 1e6,
    machine: cpus().reduce((sum, { times }) => sum + times.user + times.nice + times.sys + times.irq, 0) / 1000,
  };
}

export function cpuBetween(before: Cpu, after: Cpu): Cpu {
  const names = Object.keys(before) as (keyof Cpu)[];
  return Object.fromEntries(names.map((name) => [name, after[name] - before[name]])) as unknown as Cpu;
}

/** The server's first process, whose children are all others. */
export function postmasterOf(dataDir: string): number {
  return Number(readFileSync(join(dataDir, 'postmaster.pid'), 'utf8').split('\n', 1)[0]);
}
