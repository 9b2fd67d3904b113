/**
 * Between a protected volume and its user, on the user's machine: an NBD server that lives on while the one behind it is killed
 * and started again, or while the volume goes over to the DR and back.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { LastingVolume, serveNbd } from '../../adapters/nbd/index.ts';
import { GodwitError } from '../../kernel/errors.ts';
import type { NbdAt, ProtectHooks } from './api.ts';
import { tell } from './roles/events.ts';

export interface AttachOptions {
  readonly volume: string;
  /** Where the volume may be served, the usual place first. */
  readonly from: readonly NbdAt[];
  /** Where it is served to its user. */
  readonly nbd: NbdAt;
  /** So long its user waits for a server that is gone. Milliseconds. */
  readonly graceMs: number;
  /** A program that uses it (nbdfuse, say): started when it is served, and ended with it. */
  readonly command: readonly string[];
}

/**
 * Serves the volume to its one user until the signal is set or the command ends.
 * @throws GodwitError GW7031 when it was served nowhere for longer than the grace
 */
export async function runAttach(options: AttachOptions, hooks: ProtectHooks): Promise<void> {
  const { volume: exportName, from, nbd, graceMs, command } = options;
  await using volume = await LastingVolume.open({
    addresses: from,
    exportName,
    graceMs,
    onLost: (why) => tell(hooks, 'lost', { why }),
    onBack: (at, repeated) => tell(hooks, 'attached', { at, repeated }),
  });
  const server = await serveNbd({ address: nbd, exports: [{ name: exportName, volume }] });
  tell(hooks, 'serving', { nbd, volume: exportName });
  const child = command.length > 0 ? start(command) : undefined;
  try {
    const stopped = hooks.signal.aborted ? Promise.resolve() : once(hooks.signal, 'abort');
    const why = await Promise.race([stopped.then(() => undefined), volume.ended, ...(child ? [ended(child)] : [])]);
    if (why !== undefined) throw why;
  } finally {
    await stop(child);
    await server.close();
  }
}

function start([program, ...words]: readonly string[]): ChildProcess {
  return spawn(program as string, words, { stdio: ['ignore', 'inherit', 'inherit'] });
}

/** With why, unless it ended well. */
async function ended(child: ChildProcess): Promise<GodwitError | undefined> {
  try {
    const [code, signal] = await once(child, 'exit');
    return code === 0 ? undefined : new GodwitError('GW1001', `The command ended with ${signal ?? code}`);
  } catch (error) {
    return new GodwitError('GW1001', `The command could not be started: ${(error as Error).message}`, { cause: error });
  }
}

async function stop(child: ChildProcess | undefined): Promise<void> {
  if (child?.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, 'exit');
  child.kill('SIGTERM');
  await gone;
}
