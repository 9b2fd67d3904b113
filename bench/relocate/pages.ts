/** A large file of a database of which a few pages change: what a live move sends, reads and takes until both are equal. */
import { mkdirSync, readFileSync } from 'node:fs';
import { createConnection, createServer } from 'node:net';
import { join } from 'node:path';
import type { MoveStatus } from '../../src/routes/relocate/api.ts';
import { mountFresh } from '../../test/files/file-system.ts';
import { ask } from '../../test/files/live.ts';
import { differences, python, Scratch } from '../../test/files/move.ts';
import { godwit } from '../../test/files/one-million.ts';
import { waitFor } from '../../test/servers/wait-for.ts';

export interface PagesResult {
  readonly pageKiB: number;
  /** Of the pages that were written. */
  readonly changedMiB: number;
  /** On the wire, from source to target, and back. */
  readonly sentMiB: number;
  readonly answeredMiB: number;
  /** What both processes asked the kernel for, sockets included. */
  readonly readMiB: number;
  /** The round that sent them. */
  readonly seconds: number;
}

export async function changedPages(megabytes: number, pages: number): Promise<PagesResult[]> {
  await using source = await mountFresh('ext4', megabytes + 300);
  await using target = await mountFresh('ext4', megabytes + 300);
  using scratch = new Scratch();
  // As a database writes it, page by page.
  const written = "f = open('data','wb', buffering=0); b = os.urandom(1 << 20)";
  await python(source.dir, `${written}\nfor i in range(${megabytes} * 128): f.write(b[i % 128 * 8192:][:8192])`);
  const state = join(scratch.dir, 'agent');
  mkdirSync(state);
  const listen = join(scratch.dir, 'target');
  const wire = await countingProxy(join(scratch.dir, 'line'), listen);
  const services = ['--stop-command', 'true'];
  const receive = godwit([
    ...['receive', '--listen', `unix:${listen}`, '--root', target.dir, '--state', join(scratch.dir, 'receive')],
    ...['--start-command', 'true', ...services],
  ]);
  await waitFor(() => receive.output().includes('listening'), { timeoutMs: 60_000, what: 'the receiver' });
  const agent = godwit([
    ...['agent', '--to', `unix:${join(scratch.dir, 'line')}`, '--map', `${source.dir}=/`, '--state', state, '--json'],
    ...['--compress', 'never', '--resume-command', 'true', ...services],
  ]);
  const status = async () => (await ask<MoveStatus>(['status', '--state', state])).answer;
  const quiet = async (after: number) => {
    const now = await status();
    const { lastRound } = now;
    const isQuiet = lastRound !== undefined && lastRound.sent + lastRound.removed + lastRound.unsettled === 0;
    return isQuiet && now.lookedAt !== undefined && now.roundCount > after && now;
  };
  const wait = (after: number) =>
    waitFor(() => quiet(after), { timeoutMs: 120_000, what: 'a round that finds nothing', intervalMs: 100 });
  const read = () => rchar(agent.child.pid) + rchar(receive.child.pid);
  try {
    const results: PagesResult[] = [];
    for (const [at, pageKiB] of [4, 8].entries()) {
      const before = await wait(0);
      const [sent, answered, readBefore] = [wire.sent(), wire.answered(), read()];
      await python(
        source.dir,
        `
import random
r = random.Random(${at + 1}); fd = os.open('data', os.O_RDWR); size = ${pageKiB * 1024}
for page in r.sample(range(${megabytes} * 1048576 // size), ${pages}): os.pwrite(fd, os.urandom(size), page * size)
`,
      );
      await wait(before.roundCount + 1);
      const rounds = [...agent.output().matchAll(/"lastRound":(\{[^}]*\})/g)].map(
        ([, text]) => JSON.parse(text as string) as { sent: number; sentBytes: number; seconds: number },
      );
      const changed = (pages * pageKiB) / 1024;
      results.push({
        pageKiB,
        changedMiB: changed,
        sentMiB: (wire.sent() - sent) / 2 ** 20,
        answeredMiB: (wire.answered() - answered) / 2 ** 20,
        readMiB: (read() - readBefore) / 2 ** 20,
        seconds: rounds.filter((round) => round.sentBytes > 0).at(-1)?.seconds ?? Number.NaN,
      });
      const found = await differences(source.dir, target.dir);
      if (found.length > 0) throw new Error(`Left: ${found.slice(0, 5).join('; ')}`);
    }
    return results;
  } finally {
    for (const { child } of [agent, receive]) if (child.exitCode === null) child.kill('SIGKILL');
    wire.close();
  }
}

function rchar(pid: number | undefined): number {
  return Number(/rchar: (\d+)/.exec(readFileSync(`/proc/${pid}/io`, 'utf8'))?.[1]);
}

/** Passes one Unix socket on to another one, and counts. */
async function countingProxy(path: string, to: string) {
  let [sent, answered] = [0, 0];
  const server = createServer((source) => {
    const target = createConnection(to);
    source.on('data', (chunk) => {
      sent += chunk.length;
    });
    target.on('data', (chunk) => {
      answered += chunk.length;
    });
    for (const [one, other] of [
      [source, target],
      [target, source],
    ] as const) {
      one.pipe(other);
      one.on('error', () => other.destroy());
    }
  });
  await new Promise<void>((resolve) => server.listen(path, resolve));
  return { sent: () => sent, answered: () => answered, close: () => server.close() };
}
