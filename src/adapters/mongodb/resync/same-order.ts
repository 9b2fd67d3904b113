import type { DocStream } from '../verify/doc-stream.ts';

/**
 * Whether two streams give the same documents in the same order, to their ends.
 * Stops at the first difference; how the replies are cut does not matter.
 */
export async function sameOrder(
  source: DocStream,
  target: DocStream,
): Promise<{ same: boolean; docs: number; bytes: number }> {
  let docs = 0;
  let bytes = 0;
  let more = await source.next();
  let moreTarget = await target.next();
  while (more && moreTarget) {
    const length = source.end - source.start;
    if (source.buf.compare(target.buf, target.start, target.end, source.start, source.end) !== 0) break;
    docs += 1;
    bytes += length;
    more = await source.next();
    moreTarget = await target.next();
  }
  return { same: !more && !moreTarget, docs, bytes };
}
