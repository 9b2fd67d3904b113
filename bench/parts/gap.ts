/** A forced gap: Godwit was away while documents changed and the log rolled over. */
import { loadDataset, randomOf, stringId } from '../dataset.ts';
import { assertCopied, Side } from '../lib/clusters.ts';
import { GodwitProcess } from '../lib/godwit.ts';
import { cell, note } from '../lib/print.ts';
import { LEAST_OPLOG_MB, rollOver } from './small-oplog.ts';
import { assertSame, NAME, type PartOptions, runArgs } from './tools.ts';

export interface GapOptions extends PartOptions {
  /** Share of the documents that change meanwhile. */
  readonly changed: number;
}

export interface GapFigures {
  readonly documents: number;
  readonly changedDocuments: number;
  /** Documents and indexes of the first run, by its own events. */
  readonly copySeconds: number;
  /** The first run from its start to its proof, as a process. */
  readonly fullSeconds: number;
  /** From the start of the process to the proof and its end. */
  readonly resyncSeconds: number;
  readonly compareSeconds: number | undefined;
  readonly resyncPeakRssMiB: number | undefined;
  readonly putRight: { readonly missing: number; readonly extra: number; readonly different: number };
}

const BATCH = 1_000;

export async function measureGap(options: GapOptions): Promise<GapFigures> {
  const { documents, bytes, workDir } = options;
  await using source = await Side.start('source', LEAST_OPLOG_MB);
  await loadDataset(source.cluster, NAME.db, NAME.collection, { documents, bytes, id: 'string' });
  // The first contender of a comparison must not be the one that warms the cache.
  await source.hash(NAME.db, NAME.collection);
  await using target = await Side.start('target');
  const args = ['run', ...runArgs(source, target, workDir, 'gap'), '--until', 'verified'];
  const first = new GodwitProcess(args);
  const full = await first.end();
  await assertCopied(target, NAME, documents);
  const copySeconds = first.secondsBetween('copy-planned', 'copy-done') ?? Number.NaN;
  note(`copy ${cell(copySeconds)} s; from nothing to the proof ${cell(full.seconds)} s`);
  const changedDocuments = await change(source, options);
  await rollOver(source, Math.floor(Date.now() / 1000) + 1);
  await source.hash(NAME.db, NAME.collection);
  note(`${changedDocuments} documents were changed and the log has rolled over`);
  const again = new GodwitProcess([...args, '--resync']);
  const resync = await again.end();
  await assertSame(source, target, 'godwit');
  const { missing, extra, different } = again.status?.resync ?? fail('there was no resync');
  if (missing + extra + different !== changedDocuments)
    throw new Error(`${missing + extra + different} documents were put right, and ${changedDocuments} changed`);
  note(`resync ${cell(resync.seconds)} s, RSS ${cell(resync.peakRssMiB, 0)} MiB`);
  return {
    documents,
    changedDocuments,
    copySeconds,
    fullSeconds: full.seconds,
    resyncSeconds: resync.seconds,
    compareSeconds: again.secondsBetween('resync-began', 'resync-done'),
    resyncPeakRssMiB: resync.peakRssMiB,
    putRight: { missing, extra, different },
  };
}

/** Changes a share of the documents at random places; gives how many. */
async function change(source: Side, { documents, changed }: GapOptions): Promise<number> {
  const collection = source.cluster.db(NAME.db).collection<{ _id: string; n?: number; body?: string }>(NAME.collection);
  const count = Math.round(documents * changed);
  const random = randomOf(11);
  const wanted = new Set<number>();
  while (wanted.size < count) wanted.add(Math.floor(random() * documents));
  // `n` counts the documents as they were made; it has no index, so it is asked for once.
  const found = await collection.find({ n: { $in: [...wanted] } }, { projection: { _id: 1 } }).toArray();
  const ids = found.map(({ _id }) => _id);
  const [updates, deletes] = [Math.floor(ids.length * 0.6), Math.floor(ids.length * 0.2)];
  for (let i = 0; i < updates; i += BATCH)
    await collection.updateMany({ _id: { $in: ids.slice(i, Math.min(updates, i + BATCH)) } }, { $set: { n: -1 } });
  for (let i = updates; i < updates + deletes; i += BATCH)
    await collection.deleteMany({ _id: { $in: ids.slice(i, Math.min(updates + deletes, i + BATCH)) } });
  const inserts = ids.length - updates - deletes;
  const body = 'i'.repeat(900);
  await collection.insertMany(Array.from({ length: inserts }, () => ({ _id: stringId(random), n: -2, body })));
  return updates + deletes + inserts;
}

function fail(why: string): never {
  throw new Error(why);
}
