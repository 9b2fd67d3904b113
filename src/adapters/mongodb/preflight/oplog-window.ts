import type { Document } from 'bson';
import { fromDriver } from '../errors.ts';
import { ask, type Check, gib } from './context.ts';

/** A careful guess of how fast a copy is: over an ordinary network, with neighbours. */
const COPY_BYTES_PER_SECOND = 40e6;

/** How long the source remembers, against how long the copy may take. */
export const checkOplogWindow: Check = async ({ source, sizes }) => {
  let first: Document | null;
  let last: Document | null;
  try {
    const oplog = source.db('local').collection('oplog.rs');
    const edge = (direction: 1 | -1) =>
      oplog
        .find({}, { projection: { ts: 1 } })
        .sort({ $natural: direction })
        .limit(1)
        .next();
    [first, last] = await Promise.all([edge(1), edge(-1)]);
  } catch (error) {
    throw fromDriver(error, 'reading the oplog of the source');
  }
  const stats = await ask(source, 'local', { collStats: 'oplog.rs' });
  if (!first || !last) return [];
  const seconds = last['ts'].getHighBits() - first['ts'].getHighBits();
  const [size, most] = [Number(stats?.['size'] ?? 0), Number(stats?.['maxSize'] ?? 0)];
  // One that is not full yet will remember more than it does today.
  const window = size > 0 && most > size ? (seconds * most) / size : seconds;
  const copy = sizes.bytes / COPY_BYTES_PER_SECOND;
  const words = `The source's oplog${most > 0 ? ` (${gib(most)})` : ''} remembers about ${duration(window)}`;
  if (window >= copy * 1.5 && window >= 3600) return [{ severity: 'info', check: 'oplog.window', message: words }];
  return [
    {
      severity: 'warning',
      check: 'oplog.window',
      message: `${words}; the copy may take ${duration(copy)}. Godwit keeps the log on its own disk from the first second, so only a stop of Godwit longer than that would end the run`,
      remedy: 'A larger oplog (replSetResizeOplog) allows longer stops',
    },
  ];
};

function duration(seconds: number): string {
  if (seconds < 90) return `${Math.max(1, Math.round(seconds))} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  return seconds < 172_800 ? `${(seconds / 3600).toFixed(1)} h` : `${Math.round(seconds / 86_400)} days`;
}
