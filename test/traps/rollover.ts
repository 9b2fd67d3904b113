/** Makes a small log roll over: others write until the server has thrown the beginning away. */
import type { Timestamp } from 'bson';
import { type ReplicaSet, waitFor } from '../servers/index.ts';

/** The position of the oldest entry the log still has. */
export async function oldestEntry(set: ReplicaSet): Promise<string> {
  const [first] = await (await set.client())
    .db('local')
    .collection('oplog.rs')
    .find()
    .sort({ $natural: 1 })
    .limit(1)
    .toArray();
  if (first === undefined) throw new Error('the log is empty');
  return positionText(first['ts'] as Timestamp);
}

/** A position at or after everything written so far. */
export async function present(set: ReplicaSet): Promise<string> {
  const note = { appendOplogNote: 1, data: { test: 'present' }, writeConcern: { w: 'majority' } };
  return positionText((await (await set.client()).db('admin').command(note))['operationTime'] as Timestamp);
}

function positionText({ t, i }: Pick<Timestamp, 't' | 'i'>): string {
  return [t, i].map((n) => (n >>> 0).toString(16).padStart(8, '0')).join('');
}

/** A neighbour writes until entries up to `position` are gone from the log. */
export async function rollOver(set: ReplicaSet, position: string): Promise<void> {
  const client = await set.client();
  const pad = 'n'.repeat(1024 * 1024);
  await waitFor(
    async () => {
      await client
        .db('neighbour')
        .collection('busy')
        .insertMany(Array.from({ length: 8 }, () => ({ pad })));
      await client.db('neighbour').collection('busy').deleteMany({});
      // The log is kept for as long as a recovery would need it: until the next checkpoint.
      await client.db('admin').command({ fsync: 1 });
      return (await oldestEntry(set)) > position;
    },
    { timeoutMs: 120_000, what: 'the log to roll over' },
  );
}
