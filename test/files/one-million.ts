/** One directory with very many files, moved by two processes whose memory is measured. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { AgentResult } from '../../src/routes/relocate/api.ts';
import { waitFor } from '../servers/wait-for.ts';
import { mountFresh } from './file-system.ts';
import { python, Scratch } from './move.ts';

export const CLI = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));

export interface Measured {
  readonly entries: number;
  readonly agentMiB: number;
  readonly receiveMiB: number;
  readonly outcome: string;
  /** Rounds that sent anything after the first one. */
  readonly restarts: number;
}

export async function oneMillion(files: number): Promise<Measured> {
  await using source = await mountFresh('xfs', 3_000);
  await using target = await mountFresh('xfs', 3_000);
  using scratch = new Scratch();
  await python(source.dir, `for i in range(${files}): os.close(os.open('file-%07d' % i, os.O_CREAT|os.O_WRONLY))`);
  const address = `unix:${join(scratch.dir, 's')}`;
  const receive = godwit([
    'receive',
    '--listen',
    address,
    '--root',
    target.dir,
    '--state',
    join(scratch.dir, 'r'),
    '--once',
  ]);
  await waitFor(() => receive.output().includes('listening'), { timeoutMs: 60_000, what: 'the receiver' });
  const agent = godwit([
    'agent',
    '--to',
    address,
    '--map',
    `${source.dir}=/`,
    '--state',
    join(scratch.dir, 'a'),
    '--once',
    '--json',
  ]);
  const peaks = { agent: 0, receive: 0 };
  const timer = setInterval(() => {
    peaks.agent = Math.max(peaks.agent, peakMiB(agent.child));
    peaks.receive = Math.max(peaks.receive, peakMiB(receive.child));
  }, 100);
  await once(agent.child, 'close');
  clearInterval(timer);
  if (agent.child.exitCode !== 0) receive.child.kill('SIGKILL');
  if (receive.child.exitCode === null && receive.child.signalCode === null) await once(receive.child, 'close');
  const last = JSON.parse(agent.output().trim().split('\n').at(-1) ?? '') as { result: AgentResult };
  const { rounds, outcome } = last.result;
  return {
    entries: rounds[0]?.entries ?? 0,
    outcome,
    agentMiB: peaks.agent,
    receiveMiB: peaks.receive,
    restarts: rounds.slice(1).filter(({ sent, removed }) => sent + removed > 0).length,
  };
}

/** The built command in a process of its own. */
export function godwit(
  words: readonly string[],
  env: Readonly<Record<string, string>> = {},
): { readonly child: ChildProcess; output(): string } {
  let text = '';
  const child = spawn(process.execPath, [CLI, 'relocate', ...words], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...env },
  });
  for (const stream of [child.stdout, child.stderr]) {
    stream?.on('data', (chunk: Buffer) => {
      text += chunk.toString();
    });
  }
  return { child, output: () => text };
}

/** The most memory that the process has had so far. */
function peakMiB({ pid }: ChildProcess): number {
  try {
    return Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) / 1024;
  } catch {
    return 0;
  }
}
