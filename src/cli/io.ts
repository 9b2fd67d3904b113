/** The terminal as the commands see it; tests give their own. */
export interface Io {
  out(text: string): void;
  err(text: string): void;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Whether standard output is a terminal that can redraw. */
  readonly isTerminal: boolean;
  readonly isErrTerminal: boolean;
  /** Asked at every drawing: terminals are resized. */
  size(): { readonly columns: number; readonly rows: number };
}

/** The streams of this process. A reader that went away ends the work through `onGone`. */
export function processIo(onGone: () => void): Io {
  const { stdout, stderr, env } = process;
  for (const stream of [stdout, stderr]) {
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EPIPE') onGone();
      else throw error;
    });
  }
  return {
    out: (text) => void stdout.write(text),
    err: (text) => void stderr.write(text),
    env,
    isTerminal: stdout.isTTY === true && env.TERM !== 'dumb',
    isErrTerminal: stderr.isTTY === true,
    size: () => ({ columns: stdout.columns || 80, rows: stdout.rows || 24 }),
  };
}
