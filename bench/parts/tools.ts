/** What the parts of the benchmark of following share. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Side } from '../lib/clusters.ts';
import { Pcsm } from '../lib/pcsm.ts';
import { findPeer } from '../lib/peers.ts';

export const NAME = { db: 'shop', collection: 'orders' } as const;

export interface PartOptions {
  readonly documents: number;
  readonly bytes: number;
  readonly workDir: string;
}

/** Flags of `godwit migrate run` for one pair of clusters. */
export function runArgs(source: Side, target: Side, workDir: string, run: string): string[] {
  return ['--from', source.uri, '--to', target.uri, '--include', NAME.db, '--run', run, '--state', `${workDir}/state`];
}

/** Flags that address a run which exists. */
export function addressArgs(workDir: string, run: string): string[] {
  return ['--run', run, '--state', `${workDir}/state`];
}

/** pcsm with its initial copy done, following; undefined when it is missing. */
export async function followingPcsm(source: Side, target: Side): Promise<Pcsm | undefined> {
  const binary = findPeer('pcsm');
  if (binary === undefined) return undefined;
  const pcsm = await Pcsm.open(binary, source.uri, target.uri);
  try {
    await pcsm.command('/start', { includeNamespaces: [`${NAME.db}.${NAME.collection}`] });
    await pcsm.until((status) => status.initialSync?.completed === true && status.state === 'running', 3_600_000);
    return pcsm;
  } catch (error) {
    await pcsm.close();
    throw error;
  }
}

const MARKERS = 64;

/**
 * Writes what a backlog ends with. Tools apply by several workers, each in
 * order and each with a share of the `_id`s: with so many, every worker has
 * some, and when all have arrived nothing before them is missing.
 */
export async function writeMarkers(side: Side, label: string): Promise<void> {
  const collection = side.cluster.db(NAME.db).collection<{ _id: string }>(NAME.collection);
  await collection.insertMany(
    Array.from({ length: MARKERS }, (_, i) => ({ _id: `marker-${label}-${i}` })),
    { writeConcern: { w: 'majority' } },
  );
}

/** Waits until all markers are there. */
export async function waitForMarkers(side: Side, label: string, timeoutMs: number): Promise<void> {
  const collection = side.cluster.db(NAME.db).collection<{ _id: string }>(NAME.collection);
  const ids = Array.from({ length: MARKERS }, (_, i) => `marker-${label}-${i}`);
  const deadline = performance.now() + timeoutMs;
  while ((await collection.countDocuments({ _id: { $in: ids } })) < MARKERS) {
    if (performance.now() > deadline)
      throw new Error(`the end of the backlog did not arrive within ${timeoutMs / 1000} s`);
    await sleep(20);
  }
}

/** Throws unless both sides hold the same documents, by the server's hash of them. */
export async function assertSame(source: Side, target: Side, who: string): Promise<void> {
  const [a, b] = await Promise.all([source.hash(NAME.db, NAME.collection), target.hash(NAME.db, NAME.collection)]);
  if (a !== b) throw new Error(`${who}: the target differs from the source (dbHash ${b}, not ${a})`);
}
