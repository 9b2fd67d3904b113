import { GodwitError } from '../../../kernel/errors.ts';
import type { Cluster } from '../cluster.ts';
import { timestampOf } from '../position.ts';
import { commandDoc } from '../wire/connection.ts';
import { readAll } from '../wire/read-all.ts';
import { entryPosition } from './oplog-source.ts';

/**
 * Proves that a log is the one an entry was taken from, and goes on from
 * there without a gap: it holds that entry, byte for byte. What a fail-over
 * rolled back shows in this way too. Throws GW2104. False when the log no
 * longer reaches back so far: then it cannot tell.
 */
export async function isSameLog(cluster: Cluster, entry: Buffer): Promise<boolean> {
  const position = entryPosition(entry, 0);
  const connection = await cluster.connectPrimary();
  try {
    const find = (filter: object) =>
      commandDoc({ find: 'oplog.rs', filter, sort: { $natural: 1 }, limit: 1, singleBatch: true, $db: 'local' });
    const [found] = await readAll(connection, find({ ts: timestampOf(position) }), 'local', 'oplog.rs');
    if (found?.equals(entry)) return true;
    const [oldest] = await readAll(connection, find({}), 'local', 'oplog.rs');
    const begins = oldest ? entryPosition(oldest, 0) : undefined;
    if (!found && begins !== undefined && begins > position) return false;
    throw new GodwitError(
      'GW2104',
      `The log of the medium does not lead on to the log of the ${cluster.name}: its last entry is ${found ? 'another one' : 'not there'}`,
      { details: { position } },
    );
  } finally {
    connection.close();
  }
}
