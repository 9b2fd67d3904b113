/** What is known to go wrong when data travels as files. Each ends with a comparison of both clusters after the cutover. */
import { expect, test } from 'vitest';
import { exportMedium, importMedium } from '../../src/routes/migrate/index.ts';
import {
  change,
  cutOver,
  differences,
  exportOptions,
  fillBusiness,
  fillLarge,
  hooksOf,
  importOptions,
  runOptions,
  useWorld,
  type World,
} from '../medium/world.ts';

const world = useWorld();

async function carry(w: World, name: string, medium: string, compress: 'none' | 'gzip' | 'zstd'): Promise<void> {
  await exportMedium(exportOptions(w, name, medium, { compress }), hooksOf(w));
  await importMedium(importOptions(w, name, medium), hooksOf(w));
}

test('every BSON type, an empty collection, names at the limit and of odd characters, in an archive', {
  timeout: 120_000,
}, async () => {
  const w = world();
  const client = await w.source.client();
  await fillBusiness(client, 'all', 600);
  await carry(w, 'all', 'all.archive.gz', 'gzip');
  await change(client, 'all', 'later');
  await cutOver(w, runOptions(w, 'all'));
  expect(await differences(w, ['all'])).toEqual([]);
});

test('documents of 16 MiB on a medium', { timeout: 180_000 }, async () => {
  const w = world();
  const client = await w.source.client();
  for (const [name, medium, compress] of [
    ['large1', 'large1', 'zstd'],
    ['large2', 'large2.archive', 'none'],
  ] as const) {
    await fillLarge(client, name);
    await carry(w, name, medium, compress);
    await client
      .db(name)
      .collection('large')
      .updateOne({ _id: 1 as never }, { $set: { later: true } });
    await cutOver(w, runOptions(w, name));
    expect(await differences(w, [name])).toEqual([]);
  }
});

test('a million tiny documents on a medium', { timeout: 240_000 }, async () => {
  const w = world();
  const client = await w.source.client();
  const tiny = client.db('tiny').collection<{ _id: number }>('tiny');
  for (let n = 0; n < 1_000_000; n += 50_000) {
    await tiny.insertMany(
      Array.from({ length: 50_000 }, (_, i) => ({ _id: n + i })),
      { ordered: false },
    );
  }
  await carry(w, 'tiny', 'tiny', 'zstd');
  await tiny.updateMany({ _id: { $mod: [1000, 7] } }, { $set: { later: true } });
  await cutOver(w, runOptions(w, 'tiny'));
  expect(await differences(w, ['tiny'])).toEqual([]);
  expect(await (await w.target.client()).db('tiny').collection('tiny').countDocuments()).toBe(1_000_000);
});
