import type { Dirent } from 'node:fs';
import { open, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import xxhash from '@node-rs/xxhash';
import { GodwitError, throwIfAborted } from '../../../kernel/errors.ts';
import { POSITION_ZERO } from '../../../kernel/position.ts';
import type { ViewSpec } from '../catalog.ts';
import { hex64, inFile } from './append-file.ts';
import { type Compression, compressionOf } from './codec.ts';
import { DataTally } from './document-file.ts';
import { LogTally } from './log-tally.ts';
import type { BytesRead, Medium, MediumCollection, MediumData } from './medium.ts';
import { type Metadata, parseMetadata, specOf } from './metadata.ts';
import { collectionOf, fileNameOf, isCutName } from './names.ts';
import { plainStream, readParts } from './read-parts.ts';
import { madeUpUuid } from './uuid.ts';
import { validateDocuments } from './validate.ts';

const FILE = /^(.+?)\.(bson|metadata\.json)(\.gz)?$/;
const SERVERS_OWN = new Set(['admin', 'config', 'local']);

interface Found {
  readonly db: string;
  /** Name without its endings. */
  readonly base: string;
  data?: string;
  metadata?: string;
}

/**
 * Looks through a folder that mongodump wrote: every file is read to its end,
 * every document is taken apart. Throws GW2101 (damaged), GW2102 (something is
 * missing), GW2103 (this is no dump).
 */
export async function scanDump(folder: string, signal: AbortSignal, onRead: BytesRead): Promise<Medium> {
  const files = await findFiles(folder);
  const collections: MediumCollection[] = [];
  const views: ViewSpec[] = [];
  const sum = xxhash.xxh3.Xxh3.withSeed();
  const log = new LogTally('oplog.bson');
  const logFile = await scanFile(folder, 'oplog.bson', signal, onRead, (docs) => log.add(docs));
  // One without entries tells nothing to go on from.
  const oplog = log.entries > 0 ? logFile : undefined;
  if (oplog) sum.update(`oplog.bson ${oplog.digest}\n`);
  const unused = new Set(files.flatMap((found) => found.data ?? []));
  for (const found of files) {
    throwIfAborted(signal);
    if (found.metadata === undefined) continue;
    const metadata = await readMetadata(folder, found.metadata, found.base);
    if (metadata.type === 'view') {
      views.push({ db: found.db, name: metadata.name, options: metadata.options });
      sum.update(`${found.db}.${metadata.name} view\n`);
      continue;
    }
    const name = metadata.type === 'timeseries' ? `system.buckets.${metadata.name}` : metadata.name;
    const dataFile = files.find((one) => one.db === found.db && one.base === fileNameOf(name))?.data ?? found.data;
    const scanned = dataFile === undefined ? undefined : await scanFile(folder, dataFile, signal, onRead, undefined);
    if (!scanned || dataFile === undefined) throw missing(`${found.db}/${fileNameOf(name)}.bson`, 'documents');
    unused.delete(dataFile);
    sum.update(`${found.db}.${metadata.name} ${scanned.digest}\n`);
    const uuid = metadata.uuid ?? log.uuidOf(`${found.db}.${name}`);
    collections.push({
      spec: specOf(metadata, found.db, uuid ?? madeUpUuid(found.db, name)),
      data: scanned.data,
      snapshot: oplog === undefined,
      holds: log.start,
      identified: uuid !== undefined,
    });
  }
  for (const file of unused)
    throw missing(file.replace(/\.bson(\.gz)?$/, '.metadata.json$1'), `the structure of ${file}`);
  if (collections.length === 0 && views.length === 0) {
    throw new GodwitError('GW2103', `${folder} holds no dump: there is no .metadata.json in a folder of it`, {
      details: { file: folder },
    });
  }
  return {
    folder,
    container: 'directory',
    packed: false,
    id: `dump-${hex64(sum.digest())}`,
    tool: await toolOf(folder),
    source: undefined,
    timePoint: oplog ? log.first : undefined,
    log: oplog ? { start: log.start, end: log.end, data: oplog.data } : undefined,
    listedBy: oplog ? log.end : POSITION_ZERO,
    collections,
    views,
  };
}

async function findFiles(folder: string): Promise<Found[]> {
  const found: Found[] = [];
  for (const db of await list(folder)) {
    if (!db.isDirectory() || SERVERS_OWN.has(db.name)) continue;
    const byBase = new Map<string, Found>();
    for (const entry of await list(join(folder, db.name))) {
      const match = entry.isFile() ? FILE.exec(entry.name) : null;
      // Users and roles of a database, by --dumpDbUsersAndRoles.
      if (!match || entry.name.startsWith('$admin.')) continue;
      const base = match[1] as string;
      const one: Found = byBase.get(base) ?? { db: db.name, base };
      if (match[2] === 'bson') one.data = `${db.name}/${entry.name}`;
      else one.metadata = `${db.name}/${entry.name}`;
      byBase.set(base, one);
    }
    found.push(...byBase.values());
  }
  return found.sort((a, b) => (`${a.db}/${a.base}` < `${b.db}/${b.base}` ? -1 : 1));
}

async function readMetadata(folder: string, file: string, base: string): Promise<Metadata> {
  const text = await readText(folder, file);
  return parseMetadata(text, file, isCutName(base) ? undefined : collectionOf(base));
}

async function readText(folder: string, file: string): Promise<string> {
  const path = join(folder, file);
  const pieces: Buffer[] = [];
  for await (const piece of plainStream(path, file, await fileCompression(path))) pieces.push(piece);
  return Buffer.concat(pieces).toString('utf8');
}

async function fileCompression(path: string): Promise<Compression> {
  const head = Buffer.alloc(4);
  const handle = await inFile(path, () => open(path, 'r'));
  try {
    const { bytesRead } = await handle.read(head, 0, 4, 0);
    return compressionOf(head.subarray(0, bytesRead));
  } finally {
    await handle.close();
  }
}

/** Reads a file of documents to its end; undefined when there is none. */
async function scanFile(
  folder: string,
  file: string,
  signal: AbortSignal,
  onRead: BytesRead,
  look: ((docs: Buffer) => void) | undefined,
): Promise<{ data: MediumData; digest: string } | undefined> {
  const path = join(folder, file);
  const facts = await stat(path).catch(() => undefined);
  if (!facts?.isFile()) return undefined;
  const compression = file.endsWith('.bson') && file !== 'oplog.bson' ? 'none' : await fileCompression(path);
  const digest = xxhash.xxh3.Xxh3.withSeed();
  const tally = new DataTally(compression);
  const read = readParts(folder, file, compression, [
    [0, facts.size, facts.size === 0 ? 0 : Number.MAX_SAFE_INTEGER, 0],
  ]);
  for await (const { docs, documents } of read) {
    throwIfAborted(signal);
    wellFormed(docs, file);
    look?.(docs);
    digest.update(docs);
    const offset = compression === 'none' ? tally.bytes : 0;
    tally.add(offset, docs.length, docs.length, documents);
    onRead(docs.length);
  }
  const { documents, bytes } = tally;
  const parts = compression === 'none' ? tally.parts : [[0, facts.size, bytes, documents] as (typeof tally.parts)[0]];
  return { data: { file, compression, documents, bytes, parts }, digest: hex64(digest.digest()) };
}

/** Throws GW2101, naming the file, for documents that are not well-formed. */
export function wellFormed(docs: Buffer, file: string): void {
  try {
    validateDocuments(docs);
  } catch (error) {
    throw new GodwitError('GW2101', `${file} is damaged: a document in it is malformed`, {
      details: { file },
      cause: error,
    });
  }
}

async function toolOf(folder: string): Promise<string> {
  for (const name of ['prelude.json', 'prelude.json.gz']) {
    const facts = await stat(join(folder, name)).catch(() => undefined);
    if (!facts?.isFile()) continue;
    try {
      return `mongodump ${String((JSON.parse(await readText(folder, name)) as { ToolVersion?: string }).ToolVersion)}`;
    } catch {
      return 'mongodump';
    }
  }
  return 'mongodump';
}

async function list(folder: string): Promise<Dirent[]> {
  return await inFile(folder, () => readdir(folder, { withFileTypes: true }));
}

function missing(file: string, what: string): GodwitError {
  return new GodwitError('GW2102', `${file} is missing: ${what}`, { details: { file } });
}
