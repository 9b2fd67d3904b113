/** File systems that are frozen for the last changes: who writes without being asked waits, and never for longer than was said. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { FrozenFileSystems } from '../../../src/adapters/linux-files/index.ts';
import type { AgentResult, CutoverResult } from '../../../src/routes/relocate/api.ts';
import { FILE_SYSTEMS, mountFresh } from '../../files/file-system.ts';
import { LiveMove } from '../../files/live.ts';
import { certify, move, python, Scratch } from '../../files/move.ts';
import { waitFor } from '../../servers/wait-for.ts';

const WRITER = fileURLToPath(new URL('../../files/writer.py', import.meta.url));

class Writer implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #log: string;

  constructor(root: string) {
    this.#child = spawn('python3', [WRITER, root], { stdio: 'inherit' });
    this.#log = join(root, 'busy.log');
  }

  /** Until it has written again. */
  async wrote(): Promise<void> {
    const size = () => statSync(this.#log, { throwIfNoEntry: false })?.size ?? 0;
    const before = size();
    await waitFor(() => size() > before, { timeoutMs: 20_000, what: 'the writer to go on' });
  }

  /** Until it waits for the file system. */
  async waits(): Promise<void> {
    const state = () => readFileSync(`/proc/${this.#child.pid}/stat`, 'utf8').split(') ')[1]?.[0];
    await waitFor(() => state() === 'D' && this.#isStuck, { timeoutMs: 20_000, what: 'the writer to wait' });
  }

  /** In a place where only a frozen file system keeps anybody. */
  get #isStuck(): boolean {
    return /percpu_rwsem_wait|sb_start|freeze/.test(readFileSync(`/proc/${this.#child.pid}/stack`, 'utf8'));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const gone = once(this.#child, 'close');
    this.#child.kill('SIGKILL');
    await gone;
  }
}

/** The one of this process. */
function watchdog(): number {
  const children = readFileSync(`/proc/${process.pid}/task/${process.pid}/children`, 'utf8').split(' ').filter(Boolean);
  const found = children.find((pid) => readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('fsfreeze'));
  expect(found).toBeDefined();
  return Number(found);
}

const TREE = "os.mkdir('d'); [open('d/%d' % i,'wb').write(os.urandom(2000)) for i in range(200)]";

function liveMove(scratch: Scratch, source: string, target: string, ...agent: string[]): LiveMove {
  const nothing = (...names: string[]) => names.flatMap((name) => [name, 'true']);
  return new LiveMove({
    dir: scratch.dir,
    source,
    target,
    agent: [...nothing('--stop-command', '--resume-command'), ...agent],
    receive: nothing('--start-command', '--stop-command'),
  });
}

test.each(FILE_SYSTEMS)(
  'somebody who is not asked to stop writing is kept from it until the proof is made, on %s',
  async (kind) => {
    await using source = await mountFresh(kind);
    await using target = await mountFresh(kind);
    await python(source.dir, TREE);
    await using writer = new Writer(source.dir);
    await writer.wrote();
    for (const frozen of [false, true]) {
      using scratch = new Scratch();
      await using live = liveMove(
        scratch,
        source.dir,
        join(target.dir, String(frozen)),
        ...(frozen ? ['--freeze-files', '30'] : []),
      );
      await live.start();
      await live.until('following');
      const { answer } = await live.command<CutoverResult & { error?: { code: string } }>(
        'cutover',
        '--yes-stop',
        'default',
      );
      if (!frozen) expect(answer.error?.code).toBe('GW7401');
      else {
        expect(answer.outcome, JSON.stringify(answer)).toBe('running');
        expect(await certify(join(target.dir, 'true'))).toContain(answer.certificate?.mappings[0]?.root);
      }
      await writer.wrote();
    }
  },
);

test('with --once a source that never stands still is proved while it is frozen', async () => {
  await using source = await mountFresh('ext4');
  await using target = await mountFresh('ext4');
  await python(source.dir, TREE);
  await using writer = new Writer(source.dir);
  await writer.wrote();
  const { result } = await move(source.dir, join(target.dir, 'not'), { rounds: 2 });
  expect(result.outcome).toBe('not-proven');
  const frozen: AgentResult = (await move(source.dir, join(target.dir, 'frozen'), { freezeFiles: 30 })).result;
  expect(frozen.outcome, frozen.because).toBe('proven');
  expect(await certify(join(target.dir, 'frozen'))).toContain(frozen.certificate?.mappings[0]?.root);
  await writer.wrote();
});

test('an agent that is killed while the file systems are frozen leaves none so', async () => {
  await using source = await mountFresh('ext4');
  await using target = await mountFresh('ext4');
  using scratch = new Scratch();
  await python(source.dir, TREE);
  await using writer = new Writer(source.dir);
  await using live = liveMove(scratch, source.dir, target.dir, '--freeze-files', '600');
  await live.start('move.before-starting');
  await live.until('following');
  await live.command('cutover', '--yes-stop', 'default');
  await waitFor(() => live.agentEnded, { timeoutMs: 30_000, what: 'the agent to be killed' });
  await writer.wrote();
});

test('file systems go on when the time is over, and when the watchdog itself is killed', async () => {
  await using source = await mountFresh('ext4');
  await using writer = new Writer(source.dir);
  await writer.wrote();
  for (const how of ['late', 'killed'] as const) {
    const begin = { directories: [source.dir], written: [], seconds: how === 'late' ? 2 : 600 };
    await using frozen = await FrozenFileSystems.begin(begin);
    await writer.waits();
    expect(frozen.holds).toBe(true);
    if (how === 'killed') process.kill(watchdog(), 'SIGKILL');
    await waitFor(() => !frozen.holds, { timeoutMs: 20_000, what: 'the end of the freeze' });
    await writer.wrote();
  }
});

test('what the agent itself writes to is not frozen', async () => {
  await using source = await mountFresh('ext4');
  const check = () => FrozenFileSystems.check({ directories: [source.dir], written: [source.dir] });
  expect(check).toThrow(/--freeze-files would freeze/);
});
