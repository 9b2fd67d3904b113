/**
 * The server's own write block (6.0 and later) refuses the writes of everybody
 * who has no `bypassWriteBlockingMode` (root, restore and __system have it), so
 * our own user needs that privilege to go on writing there.
 */
import { GodwitError, throwIfAborted } from '../../../kernel/errors.ts';
import type { Fence } from '../../../kernel/ports.ts';
import type { Cluster } from '../cluster.ts';
import { serverCodeOf } from '../errors.ts';
import { readNeighbourWrites } from './neighbour-writes.ts';
import type { FenceContext } from './roles-fence.ts';

interface Remembered {
  readonly raised: boolean;
  /** Somebody else had blocked writes before: not ours to lift. */
  readonly wasOn: boolean;
}

const COMMAND_NOT_FOUND = 59;
const TIME_EXPIRED = 50;
const BLOCK_ON = 2;
const TURN_MS = 2_000;
/** How far back a neighbour's write counts as "being written". */
export const NEIGHBOUR_SECONDS = 10;

export function openWriteBlockFence(ctx: FenceContext): Fence {
  const { cluster, selection, memory } = ctx;
  const memoryKey = `fence.write-block.${cluster.name}`;

  return {
    kind: 'write-block',

    async raise(signal) {
      throwIfAborted(signal);
      const before = memory.get<Remembered>(memoryKey);
      if (!before?.raised) {
        if (!ctx.allowWholeCluster) await refuseIfShared();
        memory.set(memoryKey, { raised: true, wasOn: await isBlocked(cluster) } satisfies Remembered);
      }
      // The server waits for open transactions first, so no write is under way when it returns
      // (measured on 6.0.5). In short turns, so that a stop is heeded.
      for (;;) {
        throwIfAborted(signal);
        try {
          return await setBlock(cluster, true, TURN_MS);
        } catch (error) {
          if (serverCodeOf(error) !== TIME_EXPIRED) throw error;
        }
      }
    },

    async lower(signal) {
      throwIfAborted(signal);
      const before = memory.get<Remembered>(memoryKey);
      if (!before?.raised) return;
      if (!before.wasOn) await setBlock(cluster, false);
      memory.set(memoryKey, { raised: false, wasOn: false } satisfies Remembered);
    },
  };

  async function refuseIfShared(): Promise<void> {
    const others = await readNeighbourWrites(cluster, selection, NEIGHBOUR_SECONDS);
    if (others.length === 0) return;
    const shown = others.slice(0, 5).join(', ') + (others.length > 5 ? `, and ${others.length - 5} more` : '');
    throw new GodwitError('GW7003', `A write block on the ${cluster.name} would also stop the writers of ${shown}`, {
      details: { namespaces: others.slice(0, 50) },
    });
  }
}

/** Whether the write block is on already. */
async function isBlocked(cluster: Cluster): Promise<boolean> {
  const status = await cluster.command('admin', {
    serverStatus: 1,
    repl: 1,
    metrics: 0,
    wiredTiger: 0,
    locks: 0,
    tcmalloc: 0,
  });
  return status['repl']?.userWriteBlockMode === BLOCK_ON;
}

async function setBlock(cluster: Cluster, global: boolean, maxTimeMS?: number): Promise<void> {
  try {
    await cluster.command('admin', { setUserWriteBlockMode: 1, global, ...(maxTimeMS ? { maxTimeMS } : {}) });
  } catch (error) {
    if (serverCodeOf(error) === COMMAND_NOT_FOUND) {
      throw new GodwitError('GW7004', `The ${cluster.name} has no write block: it needs MongoDB 6.0`, { cause: error });
    }
    if (error instanceof GodwitError && error.code === 'GW2004') {
      throw new GodwitError('GW7004', `The user of Godwit may not block writes: ${error.message}`, { cause: error });
    }
    throw error;
  }
}
