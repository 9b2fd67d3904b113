import type { LogBlock } from '../../kernel/ports.ts';
import type { Position } from '../../kernel/position.ts';
import type { Spool } from '../../state/index.ts';

/** Blocks are merged up to this size: large enough to make batches worthwhile, small enough to hold. */
export const BLOCK_BYTES = 8 * 1024 * 1024;

/**
 * Visits the blocks of a stretch of the spool once, from after `from` up to
 * the block that holds `upTo`, or until a visitor answers false.
 */
export async function eachBlock(
  spool: Spool,
  from: Position,
  upTo: Position,
  signals: readonly AbortSignal[],
  visit: (block: LogBlock) => boolean | Promise<boolean>,
): Promise<void> {
  if (from >= upTo) return;
  const over = new AbortController();
  try {
    for await (const block of spool.read(from, BLOCK_BYTES, AbortSignal.any([...signals, over.signal]))) {
      if (!(await visit(block)) || block.last >= upTo) return;
    }
  } finally {
    over.abort();
  }
}
