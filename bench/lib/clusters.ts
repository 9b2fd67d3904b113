import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Cluster } from '../../src/adapters/mongodb/cluster.ts';
import { type ReplicaSet, startReplicaSet } from '../../test/servers/index.ts';

export const CACHE_GB = 4;
const OPLOG_MB = 6000;

/** A single-member replica set of this benchmark, with a client. */
export class Side implements AsyncDisposable {
  readonly set: ReplicaSet;
  readonly cluster: Cluster;

  private constructor(set: ReplicaSet, cluster: Cluster) {
    this.set = set;
    this.cluster = cluster;
  }

  static async start(name: string, oplogSizeMB = OPLOG_MB): Promise<Side> {
    const set = await startReplicaSet({ name, cacheGB: CACHE_GB, oplogSizeMB });
    try {
      return new Side(set, await Cluster.connect(name, set.uri));
    } catch (error) {
      await set.stop();
      throw error;
    }
  }

  get uri(): string {
    return this.set.uri;
  }

  /** Documents, counted one by one, and the names of the indexes. */
  async contents(db: string, collection: string): Promise<{ documents: number; indexes: string[] }> {
    const handle = this.cluster.db(db).collection(collection);
    const documents = await handle.countDocuments({}, { hint: '_id_' });
    const indexes = (await handle.listIndexes().toArray()).map((index) => String(index['name']));
    return { documents, indexes: indexes.sort() };
  }

  /** The server's own hash of every document in `_id` order. */
  async hash(db: string, collection: string): Promise<string> {
    const reply = await this.cluster.command(db, { dbHash: 1, collections: [collection] });
    return String(reply['collections']?.[collection]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.cluster.close().catch(() => undefined);
    await this.set.stop();
  }
}

/** Throws unless a side holds exactly what was to be copied. A benchmark that copied nothing is an error. */
export async function assertCopied(
  side: Side,
  name: { readonly db: string; readonly collection: string },
  documents: number,
): Promise<void> {
  const found = await side.contents(name.db, name.collection).catch(() => ({ documents: 0, indexes: [] as string[] }));
  const expected = ['_id_', 'customer_at', 'tags'];
  if (found.documents !== documents || found.indexes.join() !== expected.join()) {
    throw new Error(
      `the target holds ${found.documents} documents of ${documents}, and the indexes ${found.indexes.join(', ')}`,
    );
  }
}

/** A directory of this process, removed whichever way it ends (but for SIGKILL). */
export function workDirectory(): string {
  const dir = mkdtempSync(join(tmpdir(), 'godwit-bench-'));
  process.on('exit', () => rmSync(dir, { recursive: true, force: true }));
  return dir;
}
