/** A stream of documents over canned replies: what a cursor gives is a function of its bytes. */
import { type Document, Long, serialize } from 'bson';
import type { WireConnection, WireReply } from '../wire/connection.ts';
import { DocStream } from './doc-stream.ts';

/** Documents as one batch each; an empty one is a reply without documents. */
export function streamOf(batches: readonly (readonly Document[])[]): DocStream & { readonly released: () => number } {
  let asked = 0;
  let released = 0;
  const request = async (): Promise<WireReply> => {
    const batch = batches[asked] ?? [];
    asked += 1;
    const id = Long.fromNumber(asked >= batches.length ? 0 : 1);
    const cursor = { [asked === 1 ? 'firstBatch' : 'nextBatch']: batch, id, ns: 'a.b' };
    const release = () => {
      released += 1;
    };
    return { body: Buffer.from(serialize({ cursor, ok: 1 })), release } as WireReply;
  };
  const stream = new DocStream({ request } as unknown as WireConnection, Buffer.alloc(0), { db: 'a', name: 'b' });
  return Object.assign(stream, { released: () => released });
}
