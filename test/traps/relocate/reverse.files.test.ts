/** After a cutover, the same move the other way round: what was written at the target comes back, and only that. */
import { expect, test } from 'vitest';
import type { CutoverResult, MoveStatus } from '../../../src/routes/relocate/api.ts';
import { FILE_SYSTEMS, mountFresh } from '../../files/file-system.ts';
import { LiveMove } from '../../files/live.ts';
import { differences, move, python, Scratch } from '../../files/move.ts';

const TREE = `
for d in range(10):
  os.makedirs('shop/d%d/sub' % d)
  for i in range(30): open('shop/d%d/sub/%d' % (d, i),'wb').write(os.urandom(20_000))
open('shop/database','wb').write(os.urandom(24 << 20))
open('shop/first','wb').write(b'one file'); os.link('shop/first', 'shop/second')
os.setxattr('shop/first', b'user.kept', b'value')
`;
/** As services do that ran there for a while. */
const SERVED = `
with open('shop/database','r+b') as f:
  for at in range(0, 20 << 20, 2 << 20): f.seek(at + 4096); f.write(os.urandom(100))
open('shop/d1/sub/3','ab').write(b'more'); os.unlink('shop/d2/sub/4'); os.rename('shop/d3/sub', 'shop/d3/other')
os.makedirs('shop/new/deep'); open('shop/new/deep/file','wb').write(os.urandom(5000))
os.unlink('shop/second'); os.symlink('first', 'shop/second'); os.chmod('shop/d4', 0o700); os.setxattr('shop/first', b'user.kept', b'other')
import shutil; shutil.rmtree('shop/d5')
`;

function moveOf(dir: string, from: string, to: string, ...receive: string[]): LiveMove {
  const nothing = (...names: string[]) => names.flatMap((name) => [name, 'true']);
  return new LiveMove({
    dir,
    source: from,
    target: to,
    agent: nothing('--stop-command', '--resume-command'),
    receive: [...nothing('--start-command', '--stop-command'), ...receive],
  });
}

/** The first move: with its cutover, or, as the second one does not know the difference, its copy alone. */
async function there(from: string, to: string, isLive: boolean): Promise<void> {
  using scratch = new Scratch();
  if (!isLive) {
    expect((await move(from, to)).result.outcome).toBe('proven');
    return;
  }
  await using live = moveOf(scratch.dir, from, to);
  await live.start();
  await live.until('following');
  const { answer } = await live.command<CutoverResult>('cutover', '--yes-stop', 'default');
  expect(answer.outcome, JSON.stringify(answer)).toBe('running');
  await live.command<MoveStatus>('commit', '--yes-end', 'default');
}

test.each(FILE_SYSTEMS)(
  'what was written at the target comes back by the same move the other way round, on %s',
  async (kind) => {
    await using old = await mountFresh(kind);
    await using other = await mountFresh(kind);
    using scratch = new Scratch();
    await python(old.dir, TREE);
    await there(old.dir, other.dir, kind === 'ext4');
    await python(other.dir, SERVED);
    const written = await differences(other.dir, old.dir);
    expect(written.length).toBeGreaterThan(30);
    // Nobody loses an old root by a mistake in the words.
    await expect(move(other.dir, old.dir)).rejects.toMatchObject({ code: 'GW2404' });
    expect(await differences(other.dir, old.dir)).toEqual(written);

    await using live = moveOf(scratch.dir, other.dir, old.dir, '--replace');
    await live.start();
    await live.until('following');
    const { answer } = await live.command<CutoverResult>('cutover', '--yes-stop', 'default');
    expect(answer.outcome, JSON.stringify(answer)).toBe('running');
    expect(await differences(other.dir, old.dir)).toEqual([]);
    await live.command<MoveStatus>('commit', '--yes-end', 'default');
    const rounds = live.output
      .split('\n')
      .filter((line) => line.includes('"kind":"round"'))
      .map((line) => (JSON.parse(line) as { counts: { sentBytes: number; sent: number } }).counts);
    // 30 MB lie there; the renamed directory is 600 kB of what comes, ten blocks of the database are the rest.
    expect(rounds.reduce((sum, { sentBytes }) => sum + sentBytes, 0)).toBeLessThan(1_500_000);
    expect(rounds.reduce((sum, each) => sum + each.sent, 0)).toBeGreaterThan(10);
  },
  300_000,
);
