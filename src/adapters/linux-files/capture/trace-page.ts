/** Pages of the kernel's ring of trace events, out of their bytes (linux/ring_buffer.h). */

const HEADER = 16;
const LENGTH_MASK = 0xf_ffff;
const MISSED = 0x8000_0000;
const PADDING = 29;
const TIME_EXTEND = 30;
const TIME_STAMP = 31;

/** Calls `onEvent` with where in `page` the payload of each event is. Tells whether events were lost before this page. */
export function readTracePage(page: Buffer, onEvent: (at: number, length: number) => void): { readonly lost: boolean } {
  if (page.length < HEADER) return { lost: true };
  const commit = page.readUInt32LE(8);
  const end = Math.min(page.length, HEADER + (commit & LENGTH_MASK));
  const lost = (commit & MISSED) !== 0;
  for (let at = HEADER; at + 4 <= end; ) {
    const head = page.readUInt32LE(at);
    const type = head & 0x1f;
    if (type === TIME_EXTEND || type === TIME_STAMP) {
      at += 8;
      continue;
    }
    if (type > 0 && type < PADDING) {
      const length = type * 4;
      if (at + 4 + length > end) return { lost: true };
      onEvent(at + 4, length);
      at += 4 + length;
      continue;
    }
    // Padding up to the end of the page.
    if (type === PADDING && head >>> 5 === 0) break;
    if (at + 8 > end) return { lost: true };
    const length = page.readUInt32LE(at + 4);
    if (length < 4 || at + 4 + length > end) return { lost: true };
    if (type === 0) onEvent(at + 8, length - 4);
    at += 4 + length;
  }
  return { lost };
}
