import type { Io } from '../io.ts';
import { visibleLength } from './layout.ts';

/** A block at the foot of the terminal that is drawn again in place. */
export interface LiveBlock {
  /** Draws now, or soon when it was drawn a moment ago. */
  draw(lines: (size: { columns: number; rows: number }) => readonly string[]): void;
  /** Writes a line that stays, above the block. */
  above(line: string): void;
  close(): void;
}

const SHORTEST_MS = 80;

export function openLiveBlock(io: Io): LiveBlock {
  let make: ((size: { columns: number; rows: number }) => readonly string[]) | undefined;
  let drawn: readonly string[] = [];
  let timer: NodeJS.Timeout | undefined;

  const paintNow = (above: readonly string[] = []) => {
    clearTimeout(timer);
    timer = undefined;
    const size = io.size();
    // The last row stays free, so that the final line feed never scrolls the block away from under us.
    const next = make ? make(size).slice(0, Math.max(1, size.rows - 1)) : [];
    io.out(`${backTo(drawn, size.columns)}${[...above, ...next].map((line) => `${line}\u001b[K\n`).join('')}\u001b[J`);
    drawn = next;
  };

  return {
    draw: (lines) => {
      const first = make === undefined;
      make = lines;
      if (first) return paintNow();
      timer ??= setTimeout(paintNow, SHORTEST_MS).unref();
    },
    above: (line) => paintNow([line]),
    close: () => {
      if (timer) paintNow();
    },
  };
}

/** Moves the cursor to the block's first row. A terminal made narrower has wrapped our lines: count its rows. */
function backTo(lines: readonly string[], columns: number): string {
  const rows = lines.reduce((sum, line) => sum + Math.max(1, Math.ceil(visibleLength(line) / columns)), 0);
  return rows === 0 ? '' : `\r\u001b[${rows}A`;
}
