/** Payloads whose places in a ring follow each other, as one write: an operation is small, and what a write costs is not. */
import { blockBytes, type OpRecord, RECORD_BYTES } from './record.ts';

export interface Joined {
  /** Of the first payload. */
  readonly place: number;
  /** From there to the end of the last one. Where records would be between them, nothing is: their order is kept elsewhere. */
  readonly data: Buffer;
}

type Block = readonly [record: OpRecord, payload: Buffer];

const MOST = 1 << 20;

/** In the order given. */
export function joined(blocks: Iterable<Block>): Joined[] {
  const runs: Block[][] = [];
  let end = Number.NaN;
  let bytes = 0;
  for (const block of blocks) {
    const [record] = block;
    const size = blockBytes(record);
    if (record.place === end && bytes + size <= MOST) runs.at(-1)?.push(block);
    else {
      runs.push([block]);
      bytes = 0;
    }
    end = record.place + size;
    bytes += size;
  }
  return runs.map(join);
}

function join(run: readonly Block[]): Joined {
  const [first] = run[0] as Block;
  const [last, payload] = run.at(-1) as Block;
  const place = first.place + RECORD_BYTES;
  if (run.length === 1) return { place, data: payload };
  const data = Buffer.alloc(last.place - first.place + payload.length);
  for (const [record, bytes] of run) bytes.copy(data, record.place - first.place);
  return { place, data };
}
