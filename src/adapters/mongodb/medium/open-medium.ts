import { stat } from 'node:fs/promises';
import { basename, dirname, isAbsolute, join, normalize } from 'node:path';
import xxhash from '@node-rs/xxhash';
import { GodwitError, throwIfAborted } from '../../../kernel/errors.ts';
import type { ViewSpec } from '../catalog.ts';
import { hex64, inFile } from './append-file.ts';
import { SUFFIX } from './codec.ts';
import {
  type Manifest,
  type ManifestCollection,
  type ManifestData,
  manifestPath,
  readIfThere,
  readManifest,
  unfinishedPath,
} from './manifest.ts';
import type { BytesRead, Medium, MediumCollection, MediumData } from './medium.ts';
import { type Metadata, parseMetadata, specOf } from './metadata.ts';
import { fileNameOf } from './names.ts';
import { plainStream } from './read-parts.ts';
import { readArchivePrelude, scanArchive } from './scan-archive.ts';
import { scanDump } from './scan-dump.ts';

export interface OpenMediumOptions {
  readonly signal: AbortSignal;
  /** Told of bytes read; `bytesOfMedium` says how many there are. */
  readonly onRead: BytesRead;
  /** Where a compressed archive of another tool may be unpacked to, to be read in lanes. */
  readonly unpackTo?: string;
}

/** Bytes of all files of a medium, to tell how far its check is. */
export async function bytesOfMedium(path: string): Promise<number> {
  const container = await containerOf(path);
  const manifest = await readManifest(manifestPath(path, container));
  if (manifest) return manifest.files.reduce((sum, file) => sum + file.bytes, 0);
  return container === 'archive' ? (await inFile(path, () => stat(path))).size : 0;
}

/**
 * Opens a medium after looking through all of it: every file is there, has the
 * digest that its manifest says, or, written by another tool, is well-formed to
 * its end. Nothing else tells what is on it. Throws GW2101 (damaged), GW2102
 * (not complete), GW2103 (something else), GW9002 (of a newer Godwit).
 */
export async function openMedium(path: string, options: OpenMediumOptions): Promise<Medium> {
  const container = await containerOf(path);
  const manifest = await readManifest(manifestPath(path, container));
  if (!manifest) {
    // The manifest is written last: with it a medium is complete, whatever else was left.
    if ((await readIfThere(unfinishedPath(path, container))) !== undefined) {
      throw new GodwitError('GW2102', `The export to ${path} was not completed`, { details: { medium: path } });
    }
    return container === 'archive' ? scanArchive(path, options) : scanDump(path, options.signal, options.onRead);
  }
  const folder = container === 'directory' ? path : dirname(path);
  await checkFiles(folder, manifest, options);
  const structure = container === 'directory' ? inFolder(folder, manifest) : await inArchive(path, manifest);
  return mediumOf(folder, manifest, structure);
}

async function containerOf(path: string): Promise<Manifest['container']> {
  const facts = await inFile(path, () => stat(path));
  if (facts.isDirectory()) return 'directory';
  if (facts.isFile()) return 'archive';
  throw new GodwitError('GW2103', `${path} is neither a folder nor a file`, { details: { file: path } });
}

/** Every file of the manifest is there and is what it was. */
async function checkFiles(folder: string, manifest: Manifest, options: OpenMediumOptions): Promise<void> {
  for (const file of manifest.files) {
    throwIfAborted(options.signal);
    const path = join(folder, safe(file.path));
    const facts = await inFile(path, () => stat(path));
    if (facts.size !== file.bytes) {
      const how = facts.size < file.bytes ? 'shorter' : 'longer';
      throw damaged(file.path, `it is ${how} than it was (${facts.size} bytes, not ${file.bytes})`);
    }
    const digest = xxhash.xxh3.Xxh3.withSeed();
    for await (const piece of plainStream(path, file.path, 'none')) {
      throwIfAborted(options.signal);
      digest.update(piece);
      options.onRead(piece.length);
    }
    if (hex64(digest.digest()) !== file.xxh3) throw damaged(file.path, 'its digest is not that of the manifest');
  }
  const known = new Set(manifest.files.map((file) => file.path));
  for (const data of [...manifest.collections, manifest.log]) {
    if (!known.has(data.file)) throw damaged(data.file, 'the manifest has no digest of it');
    checkParts(data, manifest.files.find((file) => file.path === data.file)?.bytes ?? 0);
  }
}

/** Parts lie inside of their file and add up. */
function checkParts(data: ManifestData, size: number): void {
  let [bytes, documents] = [0, 0];
  for (const part of data.parts) {
    if (part[0] + part[1] > size) throw damaged(data.file, 'the manifest points past its end');
    bytes += part[2];
    documents += part[3];
  }
  if (bytes !== data.bytes || documents !== data.documents) throw damaged(data.file, 'its parts do not add up');
}

type MetadataOf = (db: string, name: string) => Promise<Metadata>;

function inFolder(folder: string, manifest: Manifest): MetadataOf {
  const suffix = manifest.compression === 'gzip' ? SUFFIX.gzip : '';
  return async (db, name) => {
    const file = `${db}/${fileNameOf(name)}.metadata.json${suffix}`;
    const pieces: Buffer[] = [];
    const compression = suffix === '' ? 'none' : 'gzip';
    for await (const piece of plainStream(join(folder, safe(file)), file, compression)) pieces.push(piece);
    return parseMetadata(Buffer.concat(pieces).toString('utf8'), file, name);
  };
}

async function inArchive(path: string, manifest: Manifest): Promise<MetadataOf> {
  const { entries } = await readArchivePrelude(path, manifest.compression, manifest.preludeBytes ?? 0);
  return async (db, name) => {
    const entry = entries.find((one) => one.db === db && one.name === name);
    if (!entry) throw damaged(basename(path), `it has no metadata of ${db}.${name}`);
    return parseMetadata(entry.metadata, basename(path), name);
  };
}

async function mediumOf(folder: string, manifest: Manifest, metadataOf: MetadataOf): Promise<Medium> {
  const { compression } = manifest;
  const data = ({ file, documents, bytes, parts }: ManifestData): MediumData => ({
    file,
    documents,
    bytes,
    parts,
    compression,
  });
  const collections: MediumCollection[] = [];
  for (const one of manifest.collections) collections.push(await collectionOf(one, metadataOf, data(one)));
  const views: ViewSpec[] = [];
  for (const { db, name } of manifest.views) {
    views.push({ db, name, options: (await metadataOf(db, name)).options });
  }
  const { start, end } = manifest.log;
  return {
    folder,
    container: manifest.container,
    packed: false,
    id: manifest.id,
    tool: manifest.tool,
    source: manifest.source,
    timePoint: manifest.timePoint,
    log: { start, end, data: data(manifest.log) },
    listedBy: manifest.listedBy,
    collections,
    views,
  };
}

async function collectionOf(
  one: ManifestCollection,
  metadataOf: MetadataOf,
  data: MediumData,
): Promise<MediumCollection> {
  const plain = one.name.replace(/^system\.buckets\./, '');
  const metadata = await metadataOf(one.db, one.name).catch(() => metadataOf(one.db, plain));
  return {
    spec: specOf(metadata, one.db, one.uuid),
    data,
    snapshot: one.snapshot,
    holds: one.holds,
    identified: true,
  };
}

/** A path of the manifest, which must not lead out of the medium. */
function safe(path: string): string {
  const plain = normalize(path);
  if (isAbsolute(plain) || plain.startsWith('..')) throw damaged(path, 'the manifest leads out of the medium');
  return plain;
}

function damaged(file: string, why: string): GodwitError {
  return new GodwitError('GW2101', `${file} is damaged: ${why}`, { details: { file } });
}
