import { expect, test } from 'vitest';
import { Changes } from '../capture/changes.ts';
import type { CatalogRecord } from './catalog-record.ts';
import { walkKey } from './catalog-record.ts';
import { findMoved } from './moved.ts';

const identity = (name: string) => name.padEnd(16, '-');

function record(kind: CatalogRecord['kind'], path: string, inode: string, size = 0, mapping = 0): CatalogRecord {
  const bytes = Buffer.alloc(8);
  bytes.writeBigInt64LE(BigInt(size));
  const signature = `${identity(inode)}${'t'.repeat(24)}${bytes.toString('latin1')}`;
  return { kind, mapping, path, signature, settled: true, reached: 0 };
}

const large = 1 << 20;
const catalog = [
  record('entry', '', 'root'),
  record('entry', 'a', 'dir-a'),
  record('entry', 'a/deep', 'dir-deep'),
  record('entry', 'a/deep/large', 'one', large),
  record('leave', 'a/deep', 'dir-deep'),
  record('entry', 'a/small', 'two', 5),
  record('partial', 'a/torn', 'torn', large),
  record('leave', 'a', 'dir-a'),
  record('entry', 'a-file', 'three', large),
  record('entry', 'b', 'four', large),
  record('leave', '', 'root'),
  record('entry', '', 'other-root', 0, 1),
  record('entry', 'a', 'five', large, 1),
  record('leave', '', 'other-root', 0, 1),
];

test('large files at and below names that were renamed are found, and no others', () => {
  const changes = new Changes();
  changes.addMoved(identity('root'), 'a');
  changes.addMoved(identity('other-root'), 'a');
  changes.addMoved(identity('dir-a'), 'not-there');
  const moved = findMoved(catalog, changes);
  expect([...(moved?.leaving ?? [])]).toEqual([walkKey(0, 'a'), walkKey(1, 'a')]);
  expect([...(moved?.files ?? [])]).toEqual([
    [identity('one'), { mapping: 0, path: 'a/deep/large' }],
    [identity('five'), { mapping: 1, path: 'a' }],
  ]);
});

test('without a rename, or when anything may have changed, nobody goes through the catalog', () => {
  const never = (function* (): Generator<CatalogRecord> {
    throw new Error('looked');
    // biome-ignore lint/correctness/noUnreachable: a generator has to yield something
    yield catalog[0] as CatalogRecord;
  })();
  const changes = new Changes();
  expect(findMoved(never, changes)).toBeUndefined();
  changes.addMoved(identity('root'), 'a');
  changes.everything = 'events were lost';
  expect(findMoved(never, changes)).toBeUndefined();
});
