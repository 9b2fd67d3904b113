/** How the demo speaks: numbered steps for people on one stream, figures in a small table. */

export interface Story {
  step(title: string): void;
  say(text: string): void;
  command(line: string): void;
  good(text: string): void;
  bad(text: string): void;
  table(rows: readonly (readonly string[])[]): void;
  /** The stream's file descriptor, for children that speak for themselves. */
  readonly fd: 1 | 2;
  readonly isTerminal: boolean;
  /** Lines of a child that has no terminal of its own. */
  quote(line: string): void;
}

/** With `--json` standard output belongs to the one object at the end, so the story goes to standard error. */
export function makeStory(json: boolean): Story {
  const stream = json ? process.stderr : process.stdout;
  const coloured = stream.isTTY === true && stream.hasColors();
  const paint = (code: number, text: string): string => (coloured ? `\u001b[${code}m${text}\u001b[0m` : text);
  const line = (text: string): void => void stream.write(`${text}\n`);
  const beganMs = performance.now();
  let steps = 0;
  return {
    fd: json ? 2 : 1,
    isTerminal: stream.isTTY === true,
    step: (title) => {
      steps += 1;
      line('');
      const elapsed = paint(2, `${Math.round((performance.now() - beganMs) / 1000)} s`);
      line(`${paint(1, `${steps}. ${title}`)}  ${elapsed}`);
    },
    say: (text) => line(`   ${text}`),
    command: (text) => line(paint(36, `   $ ${text}`)),
    good: (text) => line(`   ${paint(32, '✔')} ${text}`),
    bad: (text) => line(`   ${paint(31, '✘')} ${text}`),
    quote: (text) => line(paint(2, `   │ ${text}`)),
    table: (rows) => {
      const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => (row[column] ?? '').length)));
      for (const [index, row] of rows.entries()) {
        const cells = row.map((cell, column) =>
          column === 0 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0),
        );
        line(`   ${index === 0 ? paint(2, cells.join('   ')) : cells.join('   ')}`);
      }
    },
  };
}

export function count(value: number): string {
  return Math.round(value).toLocaleString('en-US').replaceAll(',', ' ');
}

export function ms(value: number): string {
  return Number.isFinite(value) ? `${value < 10 ? value.toFixed(1) : Math.round(value)} ms` : '–';
}
