/** Export, import, and a run that goes on from there, on real servers. */
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { exportMedium, importMedium } from '../../src/routes/migrate/index.ts';
import { mostOpenAtOnce } from './dump-contents.ts';
import {
  change,
  cutOver,
  differences,
  exportOptions,
  fillBusiness,
  hooksOf,
  importOptions,
  runOptions,
  useWorld,
} from './world.ts';

const world = useWorld();

describe.each([
  ['a folder', 'plain', 'none'],
  ['a folder, gzip', 'gz', 'gzip'],
  ['a folder, zstd', 'zst', 'zstd'],
  ['an archive', 'one.archive', 'none'],
  ['an archive, gzip', 'two.archive.gz', 'gzip'],
  ['an archive, zstd', 'three.archive.zst', 'zstd'],
] as const)('by %s', (_, medium, compress) => {
  test('exported, imported while others wrote, gone on with, and equal', { timeout: 180_000 }, async () => {
    const w = world();
    const name = `way${medium.replaceAll('.', '')}`;
    const source = await w.source.client();
    await fillBusiness(source, name);
    const exported = await exportMedium(exportOptions(w, name, medium, { compress }), hooksOf(w));
    expect(exported.inexact).toEqual([
      { namespace: `${name}.capped`, why: 'servers keep no history of capped collections' },
    ]);
    // mongorestore waits for ever for a collection that it has not opened.
    if (medium === 'one.archive') expect(mostOpenAtOnce(join(w.dir, medium))).toBeLessThanOrEqual(3);
    await change(source, name, 'between');
    const imported = await importMedium(importOptions(w, name, medium), hooksOf(w));
    expect(imported).toMatchObject({ phase: 'following', already: false });
    await change(source, name, 'later');
    await cutOver(w, runOptions(w, name));
    expect(await differences(w, [name])).toEqual([]);
    expect(await importMedium(importOptions(w, name, medium), hooksOf(w))).toMatchObject({ already: true });
  });
});
