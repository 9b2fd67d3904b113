/** What lies in the auxiliary's area: the chain of whole blocks, and the primary's state values of them. */
import type { Area } from '../../../kernel/protect/ports.ts';
import { decodeRow, NO_HEAD, partsOf, ROW_BYTES, STATE } from './area-layout.ts';
import type { OpRecord } from './record.ts';
import type { Point, Ring } from './ring.ts';
import { Superblock, synced } from './superblock.ts';

interface Found {
  readonly record: OpRecord;
  readonly block: undefined;
  readonly durable: true;
  copied: boolean;
}

/**
 * Looks at it from the later of two tails on: the auxiliary's own, of what came by messages, and the one that a primary
 * has written. Nobody must write meanwhile.
 */
export async function look(
  areas: { readonly ring: Area; readonly table: Area },
  ring: Ring,
  slots: number,
  own: Point,
): Promise<{ readonly tail: Point; readonly held: readonly Found[] }> {
  await synced(areas.ring);
  const { head: headArea, table } = partsOf(areas.table, slots);
  const head = await Superblock.open(headArea, NO_HEAD);
  const tail = head.value.tail.sequence > own.sequence ? head.value.tail : own;
  const rows = Buffer.alloc(table.bytes);
  await table.read(0, rows);
  const held: Found[] = [];
  for await (const { record } of ring.blocks(tail)) {
    held.push({ record, block: undefined, durable: true, copied: isCopied(rows, record, slots) });
  }
  return { tail, held };
}

/** Unknown is not copied: after messages alone there is no row, or one of an older operation. */
function isCopied(rows: Buffer, { sequence, crc }: OpRecord, slots: number): boolean {
  const row = decodeRow(rows, (sequence % slots) * ROW_BYTES);
  return row?.sequence === sequence && row.crc === crc && (row.state & STATE.sent) !== 0;
}
