/** Dumps that the real mongodump made (make-fixture.ts), and what the real mongorestore makes of them. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { importMedium } from '../../src/routes/migrate/index.ts';
import { contentsOfDump, contentsOfServer } from './dump-contents.ts';
import { hooksOf, importOptions, useWorld } from './world.ts';

const FIXTURES = fileURLToPath(new URL('fixtures', import.meta.url));
const ORDERED = new Set(['capped.bson.gz']);
const world = useWorld();

test.each(['dump', 'dump-gzip', 'dump.archive', 'dump.archive.gz'])(
  '%s: as mongorestore --oplogReplay restores it',
  { timeout: 120_000 },
  async (medium) => {
    const w = world();
    const db = `shop_${medium.replaceAll(/[.-]/g, '_')}`;
    const options = { medium: join(FIXTURES, medium), run: medium, rename: [`shop=${db}`], finish: true };
    await importMedium(importOptions(w, 'shop', medium, options), hooksOf(w));

    const folder = join(FIXTURES, `expected-${medium}`, 'shop');
    const files = readdirSync(folder);
    const metadataOf = (file: string) => JSON.parse(gunzipSync(readFileSync(join(folder, file))).toString('utf8'));
    const names = new Map<string, string>();
    for (const file of files.filter((one) => one.endsWith('.metadata.json.gz'))) {
      const base = file.slice(0, -'.metadata.json.gz'.length);
      names.set(`${base}.bson.gz`, String(metadataOf(file).collectionName));
    }
    const expected = contentsOfDump(folder, ORDERED);
    expect(expected.size).toBeGreaterThan(8);
    const target = await w.target.client();
    const found = await contentsOfServer(target, db, [...expected.keys()], ORDERED, (file) =>
      file.startsWith('system.buckets.') ? file.slice(0, -'.bson.gz'.length) : (names.get(file) ?? file),
    );
    for (const [file, docs] of expected) expect(found.get(file), file).toEqual(docs);

    for (const file of files.filter((one) => one.endsWith('.metadata.json.gz'))) {
      const { collectionName, indexes, type } = metadataOf(file);
      if (type === 'view') continue;
      const present = await target.db(db).collection(collectionName).listIndexes().toArray();
      const shown = (all: { name?: unknown; unique?: unknown }[]) =>
        all.map(({ name, unique }) => `${String(name)} ${unique === true}`).sort();
      expect(shown(present), collectionName).toEqual(shown(indexes));
    }
  },
);
