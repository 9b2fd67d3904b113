/** What an agent says that it sent, beside what really changed. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { mountFresh } from '../../files/file-system.ts';
import { move, python, Scratch } from '../../files/move.ts';

interface Line {
  readonly sequence: number;
  readonly index: number;
  readonly at: string;
  readonly type: string;
  readonly path: string;
  readonly offset?: number;
  readonly length?: number;
  readonly sha256?: string;
}

test('the log of changes names each change, where it is and the hash of its content, and nothing else', async () => {
  await using source = await mountFresh('ext4');
  await using target = await mountFresh('ext4');
  using scratch = new Scratch();
  await python(
    source.dir,
    "os.mkdir('d'); open('d/small','wb').write(os.urandom(500)); open('d/large','wb').write(os.urandom(3 << 20))",
  );
  const lines = (name: string): Line[] =>
    readFileSync(join(scratch.dir, name), 'utf8')
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line) as Line);
  const began = Date.now();
  await move(source.dir, target.dir, { logChanges: join(scratch.dir, 'first') }, scratch);
  const large = readFileSync(join(source.dir, 'd/large'));
  const hash = (from: number, length: number) =>
    createHash('sha256')
      .update(large.subarray(from, from + length))
      .digest('hex');
  const pieces = lines('first').filter(({ type, path }) => type === 'data' && path === join(source.dir, 'd/large'));
  expect(pieces.reduce((sum, { length }) => sum + (length ?? 0), 0)).toBe(large.length);
  for (const { offset = -1, length = 0, sha256 } of pieces) expect(sha256).toBe(hash(offset, length));

  await python(
    source.dir,
    "f=open('d/large','r+b'); f.seek(1 << 20); f.write(b'changed'); f.close(); os.unlink('d/small')",
  );
  await move(source.dir, target.dir, { logChanges: join(scratch.dir, 'second') }, scratch);
  const second = lines('second');
  const changed = readFileSync(join(source.dir, 'd/large')).subarray(1 << 20, (1 << 20) + 4096);
  expect(second).toContainEqual(
    expect.objectContaining({
      type: 'data',
      path: join(source.dir, 'd/large'),
      offset: 1 << 20,
      length: 4096,
      sha256: createHash('sha256').update(changed).digest('hex'),
    }),
  );
  expect(second).toContainEqual(expect.objectContaining({ type: 'remove', path: join(source.dir, 'd/small') }));
  expect(second.filter(({ type }) => type === 'data' || type === 'file')).toHaveLength(1);
  const all = [...lines('first'), ...second];
  expect(all.every(({ at }) => Date.parse(at) >= began && Date.parse(at) <= Date.now())).toBe(true);
  // In the order of the bundles, and within each of them.
  const order = all.map(({ sequence, index }) => sequence * 1_000_000 + index);
  expect(order).toEqual([...new Set(order)].sort((a, b) => a - b));
});

test('a log that would be a change itself is refused', async () => {
  await using source = await mountFresh('ext4');
  await using target = await mountFresh('ext4');
  const moving = move(source.dir, target.dir, { logChanges: join(source.dir, 'log') });
  await expect(moving).rejects.toThrow(/each line would be a change/);
});
