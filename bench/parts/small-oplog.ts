/** What the parts of the benchmark of a lost log share: the smallest oplog, and a neighbour that fills it. */
import type { Document, Timestamp } from 'bson';
import { MongoServerError } from 'mongodb';
import type { Side } from '../lib/clusters.ts';

/** The least that MongoDB takes, in MB. */
export const LEAST_OPLOG_MB = 990;
const ROUND_MB = 8;

/** Seconds since the epoch of the oldest entry of a side's log. */
export async function oldestSecond(side: Side): Promise<number> {
  const log = side.cluster.db('local').collection('oplog.rs');
  for (;;) {
    try {
      const [first] = await log.find().sort({ $natural: 1 }).limit(1).toArray();
      return first === undefined ? 0 : (first['ts'] as Timestamp).t >>> 0;
    } catch (error) {
      // Thrown away under the very look at it.
      if (!(error instanceof MongoServerError) || error.code !== CAPPED_POSITION_LOST) throw error;
    }
  }
}

const CAPPED_POSITION_LOST = 136;

/** Writes documents of a neighbour, and takes them away again: 8 MB of log and a little. */
export async function writeRound(side: Side): Promise<number> {
  const busy = side.cluster.db('neighbour').collection<Document>('busy');
  const pad = 'n'.repeat(1024 * 1024);
  await busy.insertMany(Array.from({ length: ROUND_MB }, () => ({ pad })));
  await busy.deleteMany({});
  return ROUND_MB;
}

/** Writes until the log begins after a time. The server keeps it for as long as a recovery would need it. */
export async function rollOver(side: Side, second: number): Promise<void> {
  for (let round = 0; (await oldestSecond(side)) <= second; round += 1) {
    await writeRound(side);
    if (round % 16 === 0) await side.cluster.command('admin', { fsync: 1 });
    if (round > 4_000) throw new Error('the log does not roll over');
  }
}
