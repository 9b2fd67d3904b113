/** The first copy: `rsync -aHAX` beside the first round of an agent, each into a fresh directory and until it is on the medium. */
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { must } from '../../test/files/file-system.ts';
import { differences, python } from '../../test/files/move.ts';
import { CLI } from '../../test/files/one-million.ts';
import { waitFor } from '../../test/servers/wait-for.ts';
import { MeasuredProcess, measure } from '../lib/measured-process.ts';
import { cell, note } from '../lib/print.ts';

export const COPIERS = ['rsync', 'godwit'] as const;
export type Copier = (typeof COPIERS)[number];

export interface Once {
  readonly seconds: number;
  readonly cpuSeconds: number;
}

/** Both, in turns, so many times each; what either leaves is compared by a program of its own. */
export async function firstCopies(dir: string, source: string, repeat: number): Promise<Record<Copier, Once[]>> {
  const taken: Record<Copier, Once[]> = { rsync: [], godwit: [] };
  for (let round = 0; round < repeat; round += 1) {
    for (const who of round % 2 === 0 ? COPIERS : [...COPIERS].reverse()) {
      const target = join(dir, `target-${who}`);
      rmSync(target, { recursive: true, force: true });
      await must('sync', ['-f', dir]);
      taken[who].push(who === 'rsync' ? await rsync(source, target) : await godwit(source, target, join(dir, 'state')));
      note(`${source.split('/').at(-1)} ${who}: ${cell(taken[who].at(-1)?.seconds, 2)} s`);
      const found = await differences(source, target);
      if (found.length > 0) throw new Error(`${who} left differences: ${found.slice(0, 5).join('; ')}`);
      rmSync(target, { recursive: true, force: true });
    }
  }
  return taken;
}

export async function smallFiles(dir: string, files: number): Promise<void> {
  mkdirSync(dir);
  await python(
    dir,
    `
import random
r = random.Random(1)
for i in range(${files}):
  d = '%02x/%02x' % (i % 97, i % 89)
  if i < 97 * 89: os.makedirs(d, exist_ok=True)
  with open('%s/file-%06d' % (d, i), 'wb') as f: f.write(r.randbytes(r.randrange(8000)))
`,
  );
}

export async function largeFiles(dir: string, megabytes: number): Promise<void> {
  mkdirSync(dir);
  await python(
    dir,
    `
for i in range(4):
  with open('large-%d' % i, 'wb') as f:
    for _ in range(${megabytes} // 4): f.write(os.urandom(1_000_000))
`,
  );
}

async function rsync(source: string, target: string): Promise<Once> {
  const startedAt = performance.now();
  const { cpuSeconds } = await measure(['rsync', '-aHAX', `${source}/`, `${target}/`]);
  await must('sync', ['-f', target]);
  return { seconds: (performance.now() - startedAt) / 1000, cpuSeconds: cpuSeconds ?? Number.NaN };
}

/** From the start of the agent until its first round is on the medium; then it goes on to prove the copy. */
async function godwit(source: string, target: string, state: string): Promise<Once> {
  rmSync(state, { recursive: true, force: true });
  mkdirSync(state);
  const address = `unix:${join(state, 'socket')}`;
  let listening = false;
  // `GODWIT_PROFILE=DIR` leaves profiles of both sides there.
  const profile = process.env['GODWIT_PROFILE'];
  const node = ['node', ...(profile === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${profile}`]), CLI, 'relocate'];
  const receiver = new MeasuredProcess(
    [...node, 'receive', '--listen', address, '--root', target, '--state', join(state, 'r'), '--once', '--json'],
    {
      onLine: (line) => {
        listening ||= line.includes('"listening"');
      },
    },
  );
  await waitFor(() => listening, { timeoutMs: 30_000, what: 'the receiver' });
  let seconds = Number.NaN;
  let cpu = Number.NaN;
  const agent = new MeasuredProcess(
    [...node, 'agent', '--to', address, '--map', `${source}=/`, '--state', join(state, 'a'), '--once', '--json'],
    {
      onLine: (line) => {
        if (!Number.isNaN(seconds) || !line.includes('"kind":"round"')) return;
        seconds = (performance.now() - agent.startedMs) / 1000;
        cpu = (agent.cpuSeconds ?? Number.NaN) + (receiver.cpuSeconds ?? Number.NaN);
      },
    },
  );
  const exit = await agent.exited;
  if (exit.code !== 0) throw new Error(`the agent ended with ${exit.code}: ${agent.tail}`);
  await receiver.exited;
  return { seconds, cpuSeconds: cpu };
}
