import { readFile, rename, rm, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import xxhash from '@node-rs/xxhash';
import { z } from 'zod';
import { GodwitError } from '../../../kernel/errors.ts';
import type { Position } from '../../../kernel/position.ts';
import { hex64, inFile } from './append-file.ts';
import { COMPRESSIONS } from './codec.ts';

/** Raised with every change that an older reader would misunderstand. */
export const MANIFEST_VERSION = 1;

const count = z.number().int().nonnegative();
const position = z
  .string()
  .regex(/^[0-9a-f]{16}$/)
  .transform((text) => text as Position);
const digest = z.string().regex(/^[0-9a-f]{16}$/);

/** A stretch of a file that can be read by itself: offset and length there, bytes and documents in it. */
const part = z.tuple([count, count, count, count]);

const data = z.object({
  /** Relative to the manifest. */
  file: z.string(),
  documents: count,
  /** Of documents, not compressed. */
  bytes: count,
  parts: z.array(part),
});

const collection = data.extend({
  db: z.string(),
  /** A time series by its buckets. */
  name: z.string(),
  uuid: z.string().regex(/^[0-9a-f]{32}$/),
  /** Read exactly as it was at the time point; otherwise the log has to be applied to it up to its end. */
  snapshot: z.boolean(),
  /** It holds everything up to here. Later than the time point only for what cannot be read as of a time. */
  holds: position,
});

const schema = z.object({
  format: z.literal('godwit-medium'),
  version: z.number().int(),
  /** Of this medium, for ever: runs remember which one they came from. */
  id: z.string().min(1),
  /** What wrote the data: `godwit 0.1.0`, `mongodump 100.18.0`. */
  tool: z.string(),
  madeAt: z.string(),
  container: z.enum(['directory', 'archive']),
  /** Length of what comes first in an archive: the metadata of all collections. */
  preludeBytes: count.optional(),
  compression: z.enum(COMPRESSIONS),
  source: z.object({
    /** Identity of the replica set. */
    id: z.string(),
    /** Without secrets. */
    address: z.string(),
    serverVersion: z.string(),
  }),
  include: z.array(z.string()),
  exclude: z.array(z.string()),
  /** The first time point: everything written up to here is on the medium. */
  timePoint: position,
  /** The same for people. */
  timePointAt: z.string(),
  /** Whether every collection is exactly as of the time point. */
  snapshot: z.boolean(),
  /** The structure was listed at some time up to here; the time point itself, where Godwit did it. */
  listedBy: position,
  /** The log after `start` up to `end`. `start` lies before the oldest transaction open at the time point. */
  log: data.extend({ start: position, end: position }),
  collections: z.array(collection),
  views: z.array(z.object({ db: z.string(), name: z.string() })),
  /** Every file but this one. */
  files: z.array(z.object({ path: z.string(), bytes: count, xxh3: digest })),
});

export type Manifest = z.infer<typeof schema>;
export type ManifestCollection = z.infer<typeof collection>;
export type ManifestData = z.infer<typeof data>;
export type Part = z.infer<typeof part>;

const NAME = 'godwit-manifest.json';
/** Of an export that is not complete. */
const UNFINISHED_NAME = 'godwit-unfinished.json';

/** Where the manifest of a medium is: inside a directory, beside an archive. */
export function manifestPath(medium: string, container: Manifest['container']): string {
  return container === 'directory' ? join(medium, NAME) : `${medium}.${NAME}`;
}

/** Where an export that is not complete keeps what it is. */
export function unfinishedPath(medium: string, container: Manifest['container']): string {
  return container === 'directory' ? join(medium, UNFINISHED_NAME) : `${medium}.${UNFINISHED_NAME}`;
}

/** Writes the manifest, durably and whole or not at all: from then on the medium is complete. */
export async function writeManifest(path: string, manifest: Manifest): Promise<void> {
  const seal = sealOf(manifest);
  await writeWhole(path, `${JSON.stringify({ ...manifest, seal }, undefined, 1)}\n`);
}

/** Writes a small file so that a crash leaves all of it or nothing. */
export async function writeWhole(path: string, text: string): Promise<void> {
  const draft = join(dirname(path), `.${basename(path)}.draft`);
  await inFile(path, async () => {
    await writeFile(draft, text, { mode: 0o600, flush: true });
    await rename(draft, path);
  });
}

/**
 * Reads a manifest; undefined when there is none. Throws GW2101 when it was
 * changed after it was written, GW2103 when it is none or of a newer version.
 */
export async function readManifest(path: string): Promise<Manifest | undefined> {
  const text = await readIfThere(path);
  if (text === undefined) return undefined;
  const foreign = (why: string) =>
    new GodwitError('GW2103', `${path} is no manifest of a medium: ${why}`, { details: { file: path } });
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    throw damaged(path);
  }
  if (typeof json !== 'object' || json === null || !('format' in json) || json.format !== 'godwit-medium') {
    throw foreign('it does not say that it is one');
  }
  const version = 'version' in json ? json.version : undefined;
  if (typeof version === 'number' && version > MANIFEST_VERSION) {
    throw new GodwitError('GW9002', `${path} has version ${version}; this Godwit reads up to ${MANIFEST_VERSION}`, {
      details: { file: path, found: version, known: MANIFEST_VERSION },
    });
  }
  const { seal, ...rest } = json as Record<string, unknown>;
  if (seal !== sealOf(rest)) throw damaged(path);
  const parsed = schema.safeParse(rest);
  if (!parsed.success) throw foreign(parsed.error.issues.map((issue) => issue.path.join('.')).join(', '));
  return parsed.data;
}

function damaged(path: string): GodwitError {
  return new GodwitError('GW2101', `${path} was changed after it was written: its seal does not fit`, {
    details: { file: path },
  });
}

export async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await inFile(path, () => readFile(path, 'utf8'));
  } catch (error) {
    if (error instanceof GodwitError && error.code === 'GW2102') return undefined;
    throw error;
  }
}

export async function removeIfThere(path: string): Promise<void> {
  await inFile(path, () => rm(path, { recursive: true, force: true }));
}

/** A digest of the manifest itself, without the seal. */
function sealOf(manifest: unknown): string {
  return hex64(xxhash.xxh3.xxh64(JSON.stringify(manifest)));
}
