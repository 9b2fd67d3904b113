/** Runs one command line as the program of this process. The only file that exits. */
import { GodwitError } from '../kernel/errors.ts';
import { type Io, processIo } from './io.ts';
import { stopOnSignals } from './signals.ts';

export async function ownProcess(
  run: (words: readonly string[], own: { readonly io: Io; readonly signal: AbortSignal }) => Promise<number>,
): Promise<never> {
  const stop = stopOnSignals(
    process,
    (text) => process.stderr.write(text),
    (code) => process.exit(code),
  );
  const io = processIo(() => stop.abort(new GodwitError('GW8001', 'Nobody reads the output any more')));
  const exitCode = await run(process.argv.slice(2), { io, signal: stop.signal });
  // Both streams are written out before the end: a pipe may still hold the last lines.
  await new Promise<void>((resolve) => process.stdout.write('', () => resolve()));
  await new Promise<void>((resolve) => process.stderr.write('', () => resolve()));
  process.exit(exitCode);
}
