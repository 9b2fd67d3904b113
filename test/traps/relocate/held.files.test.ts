/** Files that cannot be opened: held alone, or refused to everybody. */
import { closeSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { FILE_SYSTEMS, mountFresh } from '../../files/file-system.ts';
import { Holder } from '../../files/holders.ts';
import { differences, move, python, Scratch } from '../../files/move.ts';

/** Large with a hole and room that was never written, small, and of no whole block; each with what belongs to a file. */
const TREE = `
os.mkdir('d')
with open('d/large','wb') as f:
  f.write(os.urandom(3_000_001)); f.seek(8_000_000); f.write(os.urandom(1_234_567))
  os.posix_fallocate(f.fileno(), 12_000_000, 1_000_000)
open('d/small','wb').write(os.urandom(20_000))
open('d/odd','wb').write(os.urandom(4_097))
os.setxattr('d/large', b'user.kept', b'value'); os.chmod('d/small', 0o4711); os.chown('d/odd', 1234, 4321)
for i in range(20): open('d/%d' % i,'wb').write(os.urandom(500))
`;
const HELD = ['large', 'small', 'odd'];

/** What an open of each says now. */
function opens(files: readonly string[]): readonly string[] {
  return files.map((file) => {
    try {
      // Without waiting: a lease would be given up to an open that waits.
      closeSync(openSync(file, 0o4000));
      return 'open';
    } catch (error) {
      return (error as NodeJS.ErrnoException).code ?? '';
    }
  });
}

test.each(['ext4', 'xfs'] as const)(
  'files that somebody holds alone are read from their sectors, on %s',
  async (kind) => {
    await using source = await mountFresh(kind);
    await using target = await mountFresh(kind);
    using scratch = new Scratch();
    await python(source.dir, TREE);
    const files = HELD.map((name) => join(source.dir, 'd', name));
    {
      await using holder = await Holder.begin('lease', ...files);
      expect(opens(files)).toEqual(['EAGAIN', 'EAGAIN', 'EAGAIN']);
      const first = await move(source.dir, target.dir, {}, scratch);
      expect(first.result.outcome, first.result.because).toBe('proven');
      expect(first.result.notes['held']).toMatchObject({ count: 3 });
      expect(first.result.notes['held']?.examples.join()).toContain('from its sectors');
      // What its holder writes, and nobody else has seen, follows.
      await holder.store(files[0] as string, 1_000_000);
      await holder.store(files[0] as string, 12_500_000);
      await holder.store(files[1] as string, 19_990);
      const second = await move(source.dir, target.dir, {}, scratch);
      expect(opens(files)).toEqual(['EAGAIN', 'EAGAIN', 'EAGAIN']);
      expect(second.result.outcome, second.result.because).toBe('proven');
      // Of the large one only what changed.
      expect(second.result.rounds.reduce((sum, { sentBytes }) => sum + sentBytes, 0)).toBeLessThan(1_000_000);
    }
    // The judge opens them, too.
    expect(await differences(source.dir, target.dir)).toEqual([]);
  },
);

test.each(FILE_SYSTEMS)('files that a scanner refuses to everybody arrive, on %s', async (kind) => {
  await using source = await mountFresh(kind);
  await using target = await mountFresh(kind);
  await python(source.dir, TREE);
  const files = HELD.map((name) => join(source.dir, 'd', name));
  {
    await using _scanner = await Holder.begin('deny', ...files);
    expect(opens(files)).toEqual(['EPERM', 'EPERM', 'EPERM']);
    const { result } = await move(source.dir, target.dir);
    expect(opens(files)).toEqual(['EPERM', 'EPERM', 'EPERM']);
    expect(result.outcome, result.because).toBe('proven');
    expect(result.notes['held']).toMatchObject({ count: 3 });
  }
  expect(await differences(source.dir, target.dir)).toEqual([]);
});

test('where sectors are not the content, a file that is held is named, and nothing is claimed of it', async () => {
  await using btrfs = await mountFresh('btrfs');
  // Made with content in the inode itself: its sector holds other inodes, too.
  await using inline = await mountFresh('ext4');
  await using target = await mountFresh('ext4', 600);
  for (const [source, name, why] of [
    [btrfs, 'large', 'this kind of file system does not tell them'],
    [inline, 'inline', 'it lies in its inode'],
  ] as const) {
    await python(source.dir, `${TREE}\nopen('d/inline','wb').write(b'few')`);
    const into = join(target.dir, name);
    {
      await using _holder = await Holder.begin('lease', join(source.dir, 'd', name));
      const { result } = await move(source.dir, into, { rounds: 2 });
      expect(result.outcome).toBe('not-proven');
      expect(result.notes['unreadable']?.examples.join()).toContain(
        `d/${name} (EAGAIN; its sectors cannot be read: ${why}`,
      );
      expect(result.notes['held']).toBeUndefined();
    }
    // All the others are there.
    expect((await differences(source.dir, into)).join('\n')).toMatch(new RegExp(`^.*d/${name}[^\\n]*$`));
  }
});
