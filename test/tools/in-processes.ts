/** Seeds shared out over processes of the same program: one event loop fills one processor. */
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';

export interface Share {
  readonly from: number;
  readonly count: number;
}

/** Stretches of `count` seeds from `from` on, one for each job. */
export function shares({ from, count }: Share, jobs: number): Share[] {
  const bound = (job: number) => from + Math.floor((count * job) / jobs);
  return Array.from({ length: jobs }, (_, job) => ({ from: bound(job), count: bound(job + 1) - bound(job) }));
}

/** Runs this program once more with other arguments; its lines are told, its errors are printed. */
export async function again(args: readonly string[], onLine: (line: string) => void): Promise<void> {
  const words = [...process.execArgv, process.argv[1] as string, ...args];
  const child = spawn(process.execPath, words, { stdio: ['ignore', 'pipe', 'inherit'] });
  for await (const line of createInterface({ input: child.stdout })) onLine(line);
}
