/** File systems that stand still, for as long as this process lives and no longer. */
import { spawn } from 'node:child_process';
import { GodwitError } from '../../kernel/errors.ts';
import { run } from './run.ts';

/**
 * Freezes what it stands in, says so, and waits until its input ends, which the
 * kernel sees to however we end: nobody else could let a frozen file system go
 * on. It finds it again by standing in it, whatever becomes of the mount.
 */
const SCRIPT = `
trap '' HUP INT TERM
fsfreeze -f . || exit 1
echo frozen
while read -r _; do :; done
fsfreeze -u .
`;

/** The mounts of file systems. Everything on them is on their devices, and neither changes until it is disposed. */
export async function freeze(mounts: readonly string[]): Promise<AsyncDisposable> {
  const frozen: AsyncDisposable[] = [];
  const letGo = async () => {
    for (const one of frozen.splice(0).reverse()) await one[Symbol.asyncDispose]();
  };
  try {
    for (const mount of mounts) frozen.push(await freezeOne(mount));
  } catch (error) {
    await letGo();
    throw error;
  }
  return { [Symbol.asyncDispose]: letGo };
}

async function freezeOne(mount: string): Promise<AsyncDisposable> {
  const child = spawn('sh', ['-c', SCRIPT], { cwd: mount, stdio: ['pipe', 'pipe', 'pipe'], detached: true });
  let said = '';
  child.stderr.on('data', (chunk: Buffer) => {
    said += chunk.toString();
  });
  child.stdin.on('error', () => undefined);
  const closed = new Promise<void>((resolve) => {
    child.once('error', (error) => {
      said += error.message;
      resolve();
    });
    child.once('close', () => resolve());
  });
  const isFrozen = await new Promise<boolean>((resolve) => {
    child.stdout.once('data', () => resolve(true));
    closed.then(() => resolve(false));
  });
  if (!isFrozen) throw new GodwitError('GW2421', `${mount} cannot be frozen: ${said.trim()}`);
  return {
    [Symbol.asyncDispose]: async () => {
      child.stdin.end();
      await closed;
    },
  };
}

/**
 * What the kernel remembers of the devices themselves is forgotten: files are
 * written past it, so that an earlier reader may have left what is no longer so.
 */
export async function refreshDevices(devices: readonly string[]): Promise<void> {
  for (const device of devices) {
    const { code, stderr } = await run('blockdev', ['--flushbufs', device]);
    if (code !== 0) throw new GodwitError('GW2421', `${device}: ${stderr.trim()}`);
  }
}
