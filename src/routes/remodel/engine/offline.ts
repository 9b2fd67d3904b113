/**
 * Comparison outside of the database: a snapshot is exported, becomes Parquet
 * files, and an engine runs one SQL text on them. Production feels one reader.
 */
import { createReadStream, mkdirSync, mkdtempSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { CompareEngine, CompareInput, CompareOptions, Identity, Mismatch } from '../../../kernel/remodel/index.ts';
import type { VerifyReport } from '../api.ts';
import { openEngine } from './open-engine.ts';
import type { Tools } from './tools.ts';

const MOST_EXAMPLES = 100;

/** Exports a snapshot and compares it. */
export function compareOffline(
  tools: Tools,
  byValue: boolean,
  maxRate?: number,
): Promise<Omit<VerifyReport, 'quarantined'>> {
  const began = tools.clock.now();
  return inSnapshot(tools, { byValue, maxRate }, async ({ engine, input, snapshot, folder }) => {
    const found = join(folder, 'differences.jsonl');
    const summary = await engine.compare(input, found, tools.signal);
    return {
      engine: engine.kind,
      byValue,
      identities: summary.oldRows + summary.extra,
      pending: summary.pending,
      missing: summary.missing,
      // An old row that should be gone is one too many, on whichever side it is.
      extra: summary.extra + summary.resurrected,
      different: summary.different,
      examples: await firstOf(found, MOST_EXAMPLES),
      snapshot,
      durationMs: tools.clock.now() - began,
      sql: summary.sql,
    };
  });
}

/** The identities that the new model lacks, listed by the engine, in batches. */
export async function* missingOffline(
  tools: Tools,
  batch: number,
  signal: AbortSignal,
): AsyncGenerator<readonly Identity[]> {
  const folder = folderFor(tools);
  try {
    const list = join(folder, 'missing.jsonl');
    const { engine, input } = await exported({ ...tools, signal }, { byValue: false }, folder);
    try {
      const count = await engine.missing(input, list, signal);
      tools.say('missing', `${count} identities are missing (${engine.kind})`, { count, engine: engine.kind });
    } finally {
      await engine.close();
    }
    let held: Identity[] = [];
    for await (const line of createInterface({ input: createReadStream(list), crlfDelay: Number.POSITIVE_INFINITY })) {
      if (line !== '') held.push(JSON.parse(line) as Identity);
      if (held.length < batch) continue;
      yield held;
      held = [];
    }
    if (held.length > 0) yield held;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

type How = Omit<CompareOptions, 'signal'>;

interface Snapshot {
  readonly engine: CompareEngine;
  readonly input: CompareInput;
  readonly snapshot: string;
  readonly folder: string;
}

/** The files hold rows of people: they are gone when the work is done, however it ended. */
async function inSnapshot<T>(tools: Tools, how: How, work: (snapshot: Snapshot) => Promise<T>): Promise<T> {
  const folder = folderFor(tools);
  try {
    const snapshot = await exported(tools, how, folder);
    try {
      return await work(snapshot);
    } finally {
      await snapshot.engine.close();
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function folderFor({ options, model }: Tools): string {
  mkdirSync(options.work, { recursive: true });
  return mkdtempSync(join(options.work, `${model.name}-snapshot-`));
}

async function exported(tools: Tools, how: How, folder: string): Promise<Snapshot> {
  const { admin, model, options, signal, say } = tools;
  const { csvToParquet } = await import('../../../adapters/duckdb/index.ts');
  const csv = join(folder, 'csv');
  mkdirSync(csv);
  const snapshot = await admin.exportSnapshot(model, csv, { ...how, signal });
  say('snapshot', `snapshot ${snapshot.snapshot} exported`, { snapshot: snapshot.snapshot });
  const input = await csvToParquet(snapshot, join(folder, 'parquet'), { tempDir: folder }, signal);
  await rm(csv, { recursive: true });
  const engine = await openEngine(options.engine === 'spark' ? 'spark' : 'duckdb', folder);
  return { engine, input, snapshot: snapshot.snapshot, folder };
}

async function firstOf(file: string, most: number): Promise<readonly Mismatch[]> {
  const found: Mismatch[] = [];
  for await (const line of createInterface({ input: createReadStream(file), crlfDelay: Number.POSITIVE_INFINITY })) {
    if (line === '') continue;
    const { k, kind, columns } = JSON.parse(line) as { k: Identity; kind: Mismatch['kind']; columns: string[] };
    found.push({ identity: k, kind, columns });
    if (found.length === most) break;
  }
  return found;
}
