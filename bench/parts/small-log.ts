/** The smallest oplog, and several times as much written while the copy goes on. */
import { loadDataset } from '../dataset.ts';
import { Side } from '../lib/clusters.ts';
import { GodwitProcess } from '../lib/godwit.ts';
import { cell, note } from '../lib/print.ts';
import { LEAST_OPLOG_MB, oldestSecond, writeRound } from './small-oplog.ts';
import { assertSame, NAME, type PartOptions, runArgs } from './tools.ts';

export interface SmallLogOptions extends PartOptions {
  readonly times: number;
  readonly copyMbps: number;
}

export interface SmallLogFigures {
  readonly askedTimes: number;
  /** Written while the copy went on ÷ size of the oplog. */
  readonly writtenTimes: number;
  /** Of that, to the collection that moves. */
  readonly ownMb: number;
  readonly copySeconds: number;
  readonly largestSpoolMb: number;
  /** The log had forgotten the first time point so long before the copy ended. */
  readonly forgottenBeforeEndSeconds: number;
  readonly restarts: number;
}

/** One round in so many is written to the business that moves, the others to a neighbour. */
const OWN_EVERY = 2;
/** Documents that grew large and are replaced again and again; about 8 MB of log a round. */
const OWN_DOCUMENTS = 80;
const OWN_BYTES = 100_000;

export async function measureSmallLog(options: SmallLogOptions): Promise<SmallLogFigures> {
  const { documents, bytes, workDir, times } = options;
  await using source = await Side.start('source', LEAST_OPLOG_MB);
  await loadDataset(source.cluster, NAME.db, NAME.collection, { documents, bytes, id: 'string' });
  await using target = await Side.start('target');
  let spool = 0;
  const run = new GodwitProcess(
    [
      'run',
      ...runArgs(source, target, workDir, 'small'),
      '--until',
      'verified',
      '--throttle',
      'off',
      '--max-mbps',
      String(options.copyMbps),
    ],
    {
      onStatus: (status) => {
        spool = Math.max(spool, status.log.spoolBytes);
      },
    },
  );
  await run.until((status) => status.phase === 'copying' && status.copy.bytes > 0, 120_000);
  const began = Math.floor(Date.now() / 1000);
  let [written, own, round, forgotten] = [0, 0, 0, 0];
  while (written < times * LEAST_OPLOG_MB) {
    if (run.status?.phase !== 'copying')
      throw new Error(`the copy ended after ${written} MB: choose a lower --copy-mbps`);
    if (round % OWN_EVERY === 0) {
      const mb = await writeOwn(source, round);
      own += mb;
      written += mb;
    } else written += await writeRound(source);
    round += 1;
    if (forgotten === 0 && round % 10 === 0 && (await oldestSecond(source)) > began) forgotten = Date.now();
  }
  if (forgotten === 0) throw new Error('the oplog still reaches back to the first time point');
  note(`${written} MB were written, ${own} MB of them to the business that moves; the copy goes on`);
  await run.end();
  const copyDone = run.events.find((event) => event.kind === 'copy-done')?.atMs ?? Number.NaN;
  await assertSame(source, target, 'godwit');
  const figures = {
    askedTimes: times,
    writtenTimes: written / LEAST_OPLOG_MB,
    ownMb: own,
    copySeconds: run.secondsBetween('copy-planned', 'copy-done') ?? Number.NaN,
    largestSpoolMb: Math.round(spool / 1e6),
    forgottenBeforeEndSeconds: (copyDone - forgotten) / 1000,
    restarts: run.events.filter(({ kind }) => kind === 'resync-began' || kind === 'copy-planned').length - 1,
  };
  if (figures.restarts !== 0) throw new Error(`began ${figures.restarts} times anew, or never`);
  if (!(figures.forgottenBeforeEndSeconds > 0))
    throw new Error('the oplog reached back to the time point as long as the copy went on');
  note(`copied in ${cell(figures.copySeconds)} s, spool ${figures.largestSpoolMb} MB, proved`);
  return figures;
}

/** About 8 MB of log: large documents of the business come in, are changed as a whole, and some go. */
async function writeOwn(source: Side, round: number): Promise<number> {
  const orders = source.cluster.db(NAME.db).collection<{ _id: string; round: number; body: string }>(NAME.collection);
  const body = String.fromCharCode(97 + (round % 26)).repeat(OWN_BYTES);
  const made = await orders.bulkWrite(
    Array.from({ length: OWN_DOCUMENTS }, (_, i) => ({
      replaceOne: { filter: { _id: `own-${i}` }, replacement: { round, body }, upsert: true },
    })),
    { ordered: false },
  );
  if (made.upsertedCount + made.modifiedCount !== OWN_DOCUMENTS) throw new Error('the business did not write');
  await orders.deleteOne({ _id: `own-${round % OWN_DOCUMENTS}` });
  return (OWN_DOCUMENTS * OWN_BYTES) / 1e6;
}
