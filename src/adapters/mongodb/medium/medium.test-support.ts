/** Small mediums without a server, for tests of the formats. */
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Document, Int32, serialize } from 'bson';
import type { Position } from '../../../kernel/position.ts';
import { type CollectionSpec, collectionSpec, EMPTY_DOCUMENT, type ViewSpec } from '../catalog.ts';
import { positionOf, timestampOf } from '../position.ts';
import { ArchiveSink } from './archive-sink.ts';
import type { Compression } from './codec.ts';
import { DirectorySink } from './directory-sink.ts';
import { MANIFEST_VERSION, type Manifest, manifestPath, writeManifest } from './manifest.ts';
import { openMedium } from './open-medium.ts';

export const raw = (doc: Document): Buffer => Buffer.from(serialize(doc));
export const START: Position = positionOf(1000, 1);
export const TIME_POINT: Position = positionOf(1000, 2);
export const END: Position = positionOf(1000, 9);

const spec = (db: string, name: string, n: number, options: Document = {}, indexes: Document[] = []): CollectionSpec =>
  collectionSpec({
    uuid: String(n).padStart(32, 'a'),
    db,
    name,
    options: Object.keys(options).length === 0 ? EMPTY_DOCUMENT : raw(options),
    indexes: indexes.map(raw),
    series: name.startsWith('system.buckets.') ? raw(options) : undefined,
  });

export const COLLECTIONS: readonly CollectionSpec[] = [
  spec('shop', 'orders', 1, {}, [
    {
      v: new Int32(2),
      key: new Map([
        ['10', 1],
        ['9', -1],
      ]),
      name: 'in order',
    },
  ]),
  spec('shop', 'empty', 2, { validator: { a: { $gt: 1.5 } } }),
  spec('shop', 'log/ä', 3, { capped: true, size: 4096 }),
  spec('shop', 'system.buckets.series', 4, { timeseries: { timeField: 't' }, clusteredIndex: true }),
  spec('other db', 'L/'.repeat(100), 5, { collation: { locale: 'de', strength: 2 } }),
];
export const VIEWS: readonly ViewSpec[] = [
  { db: 'shop', name: 'view', options: raw({ viewOn: 'orders', pipeline: [{ $match: { a: 1 } }] }) },
];

/** Documents of the n-th collection, about 200 bytes each. */
export function documentsOf(n: number): Buffer[] {
  if (n === 1) return [];
  return Array.from({ length: 20 + n }, (_, i) =>
    raw({ _id: `${n}-${i}`, text: 'x'.repeat(100 + i), deep: { a: [i] } }),
  );
}

export function entriesOf(): Buffer[] {
  const at = (i: number) => timestampOf(positionOf(1000, i));
  const change = (i: number) =>
    raw({ op: 'i', ns: 'shop.orders', o: { _id: i, v: 'new' }, ts: at(i), wall: new Date(0), v: 2n });
  return [change(3), change(4), raw({ op: 'n', ns: '', o: { msg: 'end' }, ts: at(9), wall: new Date(0), v: 2n })];
}

export function temporary(): string {
  return mkdtempSync(join(tmpdir(), 'godwit-medium-unit-'));
}

export interface MadeMedium {
  readonly path: string;
  readonly manifest: Manifest;
}

/** Writes a medium of all of the above; two blocks a collection. */
export async function makeMedium(
  dir: string,
  container: Manifest['container'],
  compression: Compression,
): Promise<MadeMedium> {
  const path = join(dir, container === 'directory' ? 'medium' : 'medium.archive');
  const about = { path, compression, serverVersion: '6.0.5', toolVersion: 'godwit test' };
  const structure = { collections: COLLECTIONS, views: VIEWS };
  const units = COLLECTIONS.map(({ uuid, db, name, capped }) => ({ key: uuid, db, name, ordered: capped }));
  const sink =
    container === 'directory'
      ? await DirectorySink.create(about, structure, units)
      : await ArchiveSink.create({ ...about, lanes: 2 }, structure, units);
  const half = 7;
  await Promise.all(
    COLLECTIONS.map(async ({ uuid }, n) => {
      const docs = documentsOf(n);
      for (const some of [docs.slice(0, half), docs.slice(half)]) {
        if (some.length > 0) await sink.append(uuid, Buffer.concat(some), some.length);
      }
    }),
  );
  const collections = [];
  for (const { uuid, db, name, capped } of COLLECTIONS) {
    await sink.end(uuid);
    collections.push({ ...(await sink.finish(uuid)).data, uuid, db, name, snapshot: !capped, holds: TIME_POINT });
  }
  const entries = entriesOf();
  await sink.appendLog(Buffer.concat(entries), entries.length);
  const log = { ...(await sink.finishLog()), start: START, end: END };
  const files = await sink.close();
  const manifest: Manifest = {
    format: 'godwit-medium',
    version: MANIFEST_VERSION,
    id: 'the-medium',
    tool: 'godwit test',
    madeAt: '2026-11-21T00:00:00.000Z',
    container,
    ...(sink instanceof ArchiveSink ? { preludeBytes: sink.preludeBytes } : {}),
    compression,
    source: { id: 'rs:1', address: 'mongodb://somewhere', serverVersion: '6.0.5' },
    include: [],
    exclude: [],
    timePoint: TIME_POINT,
    timePointAt: '1970-01-01T00:16:40.000Z',
    snapshot: false,
    listedBy: TIME_POINT,
    log,
    collections,
    views: VIEWS.map(({ db, name }) => ({ db, name })),
    files,
  };
  await writeManifest(manifestPath(path, container), manifest);
  return { path, manifest };
}

export function open(path: string, unpackTo?: string) {
  const signal = new AbortController().signal;
  return openMedium(path, { signal, onRead: () => undefined, ...(unpackTo === undefined ? {} : { unpackTo }) });
}
