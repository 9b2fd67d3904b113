import { createReadStream, createWriteStream } from 'node:fs';
import { readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { GodwitError, invariant, throwIfAborted } from '../../kernel/errors.ts';

/** Names in a directory. One that is not there has none: what is lacking is then named by whoever looks for it. */
export async function listNames(directory: string): Promise<readonly string[]> {
  return readdir(directory).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [];
    throw new GodwitError('GW1009', `${directory} cannot be read: ${error.code}`, { cause: error });
  });
}

/** Writes a file that gets its name only when `text` has ended and `last` did not throw. Gives what `last` gave. */
export async function writeText<T>(
  file: string,
  signal: AbortSignal,
  text: AsyncIterable<string>,
  last: () => T,
): Promise<T> {
  const unfinished = `${file}.unfinished`;
  try {
    await pipeline(Readable.from(text), createWriteStream(unfinished), { signal });
    const given = last();
    await rename(unfinished, file);
    return given;
  } catch (error) {
    await rm(unfinished, { force: true });
    throwIfAborted(signal);
    throw fileError(error, file);
  }
}

function fileError(error: unknown, file: string): unknown {
  const code = (error as { readonly code?: unknown } | undefined)?.code;
  if (error instanceof GodwitError || typeof code !== 'string') return error;
  if (code === 'ENOSPC') return new GodwitError('GW4003', `No space is left for ${file}`, { cause: error });
  return new GodwitError('GW1009', `${file} cannot be written: ${code}`, { cause: error });
}

/**
 * The rows in a directory that Spark has written as JSON, some at a time, in the
 * order of its files. A line ends at a line feed only: within text there may be
 * what else passes for the end of a line.
 */
export async function* jsonRows(directory: string, signal: AbortSignal): AsyncGenerator<Record<string, unknown>[]> {
  const names = (await readdir(directory)).filter((name) => name.endsWith('.json')).sort();
  for (const name of names) {
    let rest = '';
    const text = createReadStream(join(directory, name), { encoding: 'utf8', highWaterMark: 1 << 18, signal });
    for await (const piece of text as AsyncIterable<string>) {
      const lines = (rest + piece).split('\n');
      rest = lines.pop() ?? '';
      yield lines.map((line) => JSON.parse(line) as Record<string, unknown>);
    }
    invariant(rest === '', 'Spark wrote a line without an end');
  }
}
