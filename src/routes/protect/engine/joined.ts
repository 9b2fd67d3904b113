/** Payloads whose places in a ring follow each other, as one write: an operation is small, and what a write costs is not. */
import { blockBytes, type OpRecord, RECORD_BYTES } from './record.ts';

export interface Joined {
  /** Of the first payload. */
  readonly place: number;
  /** From there to the end of the last one. Where records would be between them, nothing is: their order is kept elsewhere. */
  readonly data: Buffer;
}

const MOST = 1 << 20;

/** In the order given. */
export function joined(blocks: Iterable<readonly [OpRecord, Buffer]>): Joined[] {
  const runs: (readonly [OpRecord, Buffer])[][] = [];
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

function join(run: readonly (readonly [OpRecord, Buffer])[]): Joined {
  const [first] = run as readonly [readonly [OpRecord, Buffer]];
  const [, last] = run.at(-1) as readonly [OpRecord, Buffer];
  const place = first[0].place + RECORD_BYTES;
  if (run.length === 1) return { place, data: last };
  const from = (record: OpRecord) => record.place + RECORD_BYTES - place;
  const data = Buffer.alloc(from((run.at(-1) as readonly [OpRecord, Buffer])[0]) + last.length);
  for (const [record, payload] of run) payload.copy(data, from(record));
  return { place, data };
}
