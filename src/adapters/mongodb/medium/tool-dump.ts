import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import xxhash from '@node-rs/xxhash';
import type { Catalog } from '../catalog.ts';
import type { Selection } from '../namespaces.ts';
import { hex64, inFile } from './append-file.ts';
import type { Compression } from './codec.ts';
import type { FileFacts } from './document-file.ts';
import type { Manifest } from './manifest.ts';
import { plainStream } from './read-parts.ts';
import { scanDump } from './scan-dump.ts';
import { runTool } from './tools.ts';

export interface ToolDumpOptions {
  readonly uri: string;
  readonly folder: string;
  readonly compression: Exclude<Compression, 'zstd'>;
  readonly readFrom: 'primary' | 'secondary';
  readonly lanes: number;
  readonly signal: AbortSignal;
}

/** Has mongodump write the chosen namespaces: a database at once where all of it is chosen, else one by one. */
export async function dumpByTool(options: ToolDumpOptions, catalog: Catalog, selection: Selection): Promise<void> {
  const { uri, folder, compression, readFrom, lanes, signal } = options;
  const common = [
    `--out=${folder}`,
    `--numParallelCollections=${lanes}`,
    ...(compression === 'gzip' ? ['--gzip'] : []),
    ...(readFrom === 'secondary' ? ['--readPreference=secondaryPreferred'] : []),
  ];
  const named = [...catalog.collections, ...catalog.views];
  for (const db of new Set(named.map((one) => one.db))) {
    if (selection.wholeDatabase(db)) {
      await runTool('mongodump', uri, [...common, `--db=${db}`], signal);
      continue;
    }
    for (const { name } of named.filter((one) => one.db === db)) {
      const collection = name.replace(/^system\.buckets\./, '');
      await runTool('mongodump', uri, [...common, `--db=${db}`, `--collection=${collection}`], signal);
    }
  }
}

/**
 * What a manifest says of the collections that mongodump wrote. Only those of
 * the catalog count; what was created since the time point comes with the log.
 */
export async function describeToolDump(
  folder: string,
  catalog: Catalog,
  signal: AbortSignal,
): Promise<Pick<Manifest, 'collections' | 'views' | 'files'>> {
  const dump = await scanDump(folder, signal, () => undefined);
  const known = new Map(catalog.collections.map((spec) => [`${spec.db}.${spec.name}`, spec]));
  const collections: Manifest['collections'] = [];
  for (const { spec, data, identified } of dump.collections) {
    const listed = known.get(`${spec.db}.${spec.name}`);
    if (!listed) continue;
    const { file, documents, bytes, parts } = data;
    // A collection that was made anew since has another identity; the log tells of it.
    const uuid = identified ? spec.uuid : listed.uuid;
    collections.push({
      file,
      documents,
      bytes,
      parts,
      db: spec.db,
      name: spec.name,
      uuid,
      snapshot: false,
      holds: catalog.position,
    });
  }
  const views = dump.views.map(({ db, name }) => ({ db, name }));
  return { collections, views, files: await digestsOf(folder, signal) };
}

async function digestsOf(folder: string, signal: AbortSignal): Promise<FileFacts[]> {
  const files: FileFacts[] = [];
  const found = await inFile(folder, () => readdir(folder, { recursive: true, withFileTypes: true }));
  for (const entry of found) {
    const path = join(entry.parentPath, entry.name).slice(join(folder, 'x').length - 1);
    // What begins with a dot or our own name is ours, and not part of the medium yet.
    if (!entry.isFile() || path.startsWith('.') || path.startsWith('godwit-')) continue;
    const digest = xxhash.xxh3.Xxh3.withSeed();
    for await (const piece of plainStream(join(folder, path), path, 'none')) {
      signal.throwIfAborted();
      digest.update(piece);
    }
    files.push({ path, bytes: (await stat(join(folder, path))).size, xxh3: hex64(digest.digest()) });
  }
  return files.sort((a, b) => (a.path < b.path ? -1 : 1));
}

/** Bytes in a folder so far, to tell how far a tool is. */
export async function bytesIn(folder: string): Promise<number> {
  const found = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => []);
  let bytes = 0;
  for (const entry of found) {
    if (!entry.isFile() || !/\.bson(\.gz)?$/.test(entry.name)) continue;
    bytes += (await stat(join(entry.parentPath, entry.name)).catch(() => ({ size: 0 }))).size;
  }
  return bytes;
}
