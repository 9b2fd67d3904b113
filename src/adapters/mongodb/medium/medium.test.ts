/** What was written is read back, with and without its manifest; what was touched since is refused. */
import {
  appendFileSync,
  cpSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { GodwitError } from '../../../kernel/errors.ts';
import { manifestPath } from './manifest.ts';
import {
  COLLECTIONS,
  documentsOf,
  END,
  entriesOf,
  type MadeMedium,
  makeMedium,
  open,
  START,
  TIME_POINT,
  temporary,
  VIEWS,
} from './medium.test-support.ts';
import type { Medium, MediumData } from './medium.ts';
import { readParts } from './read-parts.ts';

const dir = temporary();
afterAll(() => rmSync(dir, { recursive: true, force: true }));

async function allOf(medium: Medium, data: MediumData): Promise<Buffer> {
  const pieces: Buffer[] = [];
  for await (const { docs } of readParts(medium.folder, data.file, data.compression, data.parts)) {
    pieces.push(Buffer.from(docs));
  }
  return Buffer.concat(pieces);
}

/** Documents of a file that lanes wrote to: in any order, each whole. */
function sorted(docs: Buffer): string[] {
  const out: string[] = [];
  for (let at = 0; at < docs.length; at += docs.readInt32LE(at))
    out.push(docs.toString('hex', at, at + docs.readInt32LE(at)));
  return out.sort();
}

async function expectAll(medium: Medium): Promise<void> {
  expect(medium.collections).toHaveLength(COLLECTIONS.length);
  for (const [n, spec] of COLLECTIONS.entries()) {
    const found = medium.collections.find((one) => one.spec.db === spec.db && one.spec.name === spec.name);
    expect(found, `${spec.db}.${spec.name}`).toBeDefined();
    if (!found) continue;
    expect(found.spec.indexes).toEqual(spec.indexes);
    expect(found.spec.series ?? found.spec.options).toEqual(spec.series ?? spec.options);
    expect(found.spec.capped).toBe(spec.capped);
    expect(found.spec.collated).toBe(spec.collated);
    const docs = Buffer.concat(documentsOf(n));
    const read = await allOf(medium, found.data);
    if (spec.capped) expect(read.equals(docs)).toBe(true);
    expect(sorted(read)).toEqual(sorted(docs));
    expect(found.data).toMatchObject({ documents: documentsOf(n).length, bytes: docs.length });
  }
  expect(medium.views).toEqual(VIEWS);
  expect(medium.log && (await allOf(medium, medium.log.data)).equals(Buffer.concat(entriesOf()))).toBe(true);
}

const KINDS = [
  ['directory', 'none'],
  ['directory', 'gzip'],
  ['directory', 'zstd'],
  ['archive', 'none'],
  ['archive', 'gzip'],
  ['archive', 'zstd'],
] as const;

describe.each(KINDS)('%s, %s', (container, compression) => {
  const home = join(dir, `${container}-${compression}`);
  let made: MadeMedium;
  beforeAll(async () => {
    mkdirSync(home);
    made = await makeMedium(home, container, compression);
  });

  test('is read back as it was written', async () => {
    const medium = await open(made.path);
    await expectAll(medium);
    expect(medium).toMatchObject({
      id: 'the-medium',
      timePoint: TIME_POINT,
      log: { start: START, end: END },
      source: { id: 'rs:1' },
    });
    expect(medium.collections.map((one) => one.spec.uuid)).toEqual(COLLECTIONS.map((spec) => spec.uuid));
  });

  /** As a tool of MongoDB would have left it. */
  const foreign = (): string => {
    const copy = join(dir, `foreign-${container}-${compression}`);
    cpSync(home, copy, { recursive: true });
    const path = join(copy, made.path.slice(home.length + 1));
    rmSync(manifestPath(path, container));
    return path;
  };

  const isForeign = compression !== 'zstd';
  // No other tool writes Zstandard: such a medium is nothing without its manifest.
  const alone = isForeign ? 'is a dump to those who do not know the manifest' : 'is refused without its manifest';
  test(alone, async () => {
    if (!isForeign) {
      await expect(open(foreign())).rejects.toMatchObject({ code: expect.stringMatching(/^GW210[23]$/) });
      return;
    }
    const path = foreign();
    const medium = await open(path, join(dir, `unpacked-${container}-${compression}`));
    await expectAll(medium);
    expect(medium.source).toBeUndefined();
    // The log begins with the first entry: everything before it is in the data.
    expect(medium.timePoint).toBe('000003e800000003');
    expect(medium.log).toMatchObject({ start: '000003e800000002', end: END });
    const series = medium.collections.find((one) => one.spec.name === 'system.buckets.series');
    expect(series?.identified).toBe(false);
  });

  test('every bit and every byte counts', { timeout: 120_000 }, async () => {
    const files = filesOf(home);
    await fc.assert(
      fc.asyncProperty(
        fc.nat(),
        fc.nat(),
        fc.constantFrom('flip', 'cut', 'grow', 'remove'),
        async (which, where, how) => {
          const copy = join(dir, 'touched');
          rmSync(copy, { recursive: true, force: true });
          cpSync(home, copy, { recursive: true });
          const file = join(copy, files[which % files.length] as string);
          const path = join(copy, made.path.slice(home.length + 1));
          touch(file, where, how);
          const refused = await open(path).then(
            () => undefined,
            (error: unknown) => error,
          );
          // Without its manifest it is a dump, and as such it is whole.
          if (how === 'remove' && file === manifestPath(path, container) && refused === undefined) return;
          expect(refused, `${how} ${file} ${where}`).toBeInstanceOf(GodwitError);
          expect((refused as GodwitError).code, `${how} ${file} ${where}: ${(refused as GodwitError).message}`).toMatch(
            /^(GW210[123]|GW9002)$/,
          );
          if (file !== manifestPath(path, container)) {
            const name = file.slice(copy.length + 1).replace(/^medium\//, '');
            expect((refused as GodwitError).message).toContain(name);
          }
        },
      ),
      { numRuns: 60 },
    );
  });

  // Only archives and gzip have checksums; in plain files a bit inside a value is a value.
  const hasChecksums = isForeign && !(container === 'directory' && compression === 'none');
  if (hasChecksums) {
    test('of a dump without manifest no bit passes unseen that has a checksum', async () => {
      const path = foreign();
      const files =
        container === 'archive'
          ? [path]
          : filesOf(path)
              .filter((file) => /\.gz$/.test(file))
              .map((file) => join(path, file));
      await fc.assert(
        fc.asyncProperty(fc.nat(), fc.nat(), async (which, where) => {
          const file = files[which % files.length] as string;
          const before = readFileSync(file);
          touch(file, where, 'flip');
          try {
            const medium = await open(path).catch((error: unknown) => error);
            // A header of gzip has bytes that mean nothing; a file's name in it, or its time.
            if (medium instanceof GodwitError) expect(medium.code).toMatch(/^GW210[123]$/);
            else if (medium instanceof Error) throw medium;
            else if (compression === 'none' && where % before.length > 4096) expect.unreachable(`${file} at ${where}`);
          } finally {
            writeFileSync(file, before);
          }
        }),
        { numRuns: 40 },
      );
    });
  }
});

function filesOf(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((file) => file.isFile())
    .map((file) => join(file.parentPath, file.name).slice(folder.length + 1))
    .sort();
}

function touch(file: string, where: number, how: 'flip' | 'cut' | 'grow' | 'remove'): void {
  const { size } = statSync(file);
  if (how === 'remove') rmSync(file);
  else if (how === 'grow' || size === 0) appendFileSync(file, Buffer.from([7]));
  else if (how === 'cut') truncateSync(file, where % size);
  else {
    const bytes = readFileSync(file);
    bytes[where % size]! ^= 1 << (where % 8);
    writeFileSync(file, bytes);
  }
}

test('what is no medium is named', async () => {
  const place = join(dir, 'nothing');
  mkdirSync(place);
  await expect(open(place)).rejects.toMatchObject({ code: 'GW2103' });
  await expect(open(join(dir, 'not there'))).rejects.toMatchObject({ code: 'GW2102' });
  writeFileSync(join(place, 'photo.archive'), Buffer.alloc(3000, 1));
  await expect(open(join(place, 'photo.archive'))).rejects.toMatchObject({ code: 'GW2103' });
  writeFileSync(join(place, 'zip.archive'), Buffer.concat([Buffer.from([0x1f, 0x8b]), Buffer.alloc(100)]));
  await expect(open(join(place, 'zip.archive'))).rejects.toMatchObject({ code: 'GW2101' });
});
