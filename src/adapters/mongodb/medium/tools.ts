import { spawn } from 'node:child_process';
import { constants } from 'node:fs';
import { access, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { GodwitError, throwIfAborted } from '../../../kernel/errors.ts';
import { redact } from '../errors.ts';

export type Tool = 'mongodump' | 'mongorestore';

const KEPT_LINES = 12;
const PATIENCE_MS = 10_000;

/** Where a tool of MongoDB is: in `$GODWIT_PEERS`, else on the PATH. Throws GW2105. */
export async function findTool(tool: Tool): Promise<string> {
  const folders = [process.env['GODWIT_PEERS'] ?? '', ...(process.env['PATH'] ?? '').split(delimiter)];
  for (const folder of folders.filter((one) => one !== '')) {
    const path = join(folder, tool);
    const runs = await access(path, constants.X_OK).then(
      () => true,
      () => false,
    );
    if (runs) return path;
  }
  throw new GodwitError('GW2105', `${tool} is neither in $GODWIT_PEERS nor on the PATH`, { details: { tool } });
}

/** `mongodump 100.18.0`, as it calls itself. */
export async function toolVersion(tool: Tool): Promise<string> {
  let version = '';
  await run(await findTool(tool), ['--version'], new AbortController().signal, (line) => {
    version ||= /version:\s*(\S+)/.exec(line)?.[1] ?? '';
  });
  return `${tool} ${version}`.trim();
}

/**
 * Runs a tool to its end. The address, which may hold a password, goes by a
 * file that only the owner may read, and not by the command line, which
 * everybody may. Throws GW2105 with the tool's last words.
 */
export async function runTool(tool: Tool, uri: string, args: readonly string[], signal: AbortSignal): Promise<void> {
  const program = await findTool(tool);
  const dir = await mkdtemp(join(tmpdir(), 'godwit-tool-'));
  try {
    const config = join(dir, 'config.yaml');
    await writeFile(config, `uri: ${JSON.stringify(uri)}\n`, { mode: 0o600 });
    await run(program, [`--config=${config}`, ...args], signal, () => undefined);
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

async function run(
  program: string,
  args: readonly string[],
  signal: AbortSignal,
  onLine: (line: string) => void,
): Promise<void> {
  throwIfAborted(signal);
  const tail: string[] = [];
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  const take = (chunk: Buffer) => {
    for (const line of chunk.toString('utf8').split('\n').filter(Boolean)) {
      onLine(line);
      tail.push(redact(line));
      if (tail.length > KEPT_LINES) tail.shift();
    }
  };
  child.stdout.on('data', take);
  child.stderr.on('data', take);
  const stop = () => {
    child.kill('SIGTERM');
    setTimeout(() => child.kill('SIGKILL'), PATIENCE_MS).unref();
  };
  signal.addEventListener('abort', stop, { once: true });
  try {
    const code = await new Promise<number | null>((resolve, reject) => {
      child.on('error', reject);
      child.on('close', resolve);
    });
    throwIfAborted(signal);
    if (code === 0) return;
    throw new GodwitError('GW2105', `${program} ended with ${code}: ${tail.slice(-3).join(' | ')}`, {
      details: { program, tail },
    });
  } finally {
    signal.removeEventListener('abort', stop);
  }
}
