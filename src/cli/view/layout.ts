/** Fits text into the columns a terminal has. Colour codes have no width. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: the escape character is what colour codes begin with
const COLOUR = /\u001b\[\d+m/g;

export function visibleLength(text: string): number {
  return [...text.replace(COLOUR, '')].length;
}

/** Cuts to `width` columns, with an ellipsis, and closes colours left open. */
export function clip(text: string, width: number): string {
  if (visibleLength(text) <= width) return text;
  if (width <= 1) return width === 1 ? '…' : '';
  let used = 0;
  let result = '';
  let coloured = false;
  // biome-ignore lint/suspicious/noControlCharactersInRegex: as above
  for (const [piece] of text.matchAll(/\u001b\[\d+m|./gsu)) {
    if (piece.startsWith('\u001b')) {
      coloured = true;
      result += piece;
    } else if (used < width - 1) {
      result += piece;
      used += 1;
    }
  }
  return coloured ? `${result}…\u001b[0m` : `${result}…`;
}

/** Cuts in the middle, so that both the database and the end of a name stay readable; pads to the width. */
export function column(text: string, width: number): string {
  const letters = [...text];
  if (letters.length <= width) return text.padEnd(width + text.length - letters.length);
  const head = Math.floor((width - 1) / 2);
  return `${letters.slice(0, head).join('')}…${letters.slice(letters.length - (width - 1 - head)).join('')}`;
}

/** Joins as many parts as fit, dropping from the end: the first matters most. */
export function joinFitting(parts: readonly string[], width: number, between = '   '): string {
  let line = '';
  for (const part of parts) {
    if (part === '') continue;
    const longer = line === '' ? part : `${line}${between}${part}`;
    if (line !== '' && visibleLength(longer) > width) break;
    line = longer;
  }
  return clip(line, width);
}

const EIGHTHS = ['', '▏', '▎', '▍', '▌', '▋', '▊', '▉'] as const;

export function bar(done: number, total: number, width: number): string {
  const share = total <= 0 ? 1 : Math.min(1, Math.max(0, done / total));
  const eighths = Math.floor(share * width * 8);
  const full = Math.floor(eighths / 8);
  const part = EIGHTHS[eighths % 8] ?? '';
  return `${'█'.repeat(full)}${part}`.padEnd(width, '░');
}
