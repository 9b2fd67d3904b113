import { constants } from 'node:fs';
import { access, chmod, type FileHandle, open, readFile, realpath, rename, rm, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { GodwitError } from '../../kernel/errors.ts';

const TEMPORARY = '.godwit-tmp';

/**
 * Puts new text in the place of a file, all or nothing, durably: readers see
 * the old file or the new one. Mode and owner stay (extended attributes and
 * access lists do not). `path` must be a real path, not a link.
 */
export async function replaceFile(
  path: string,
  text: string,
  like: { mode: number; uid?: number; gid?: number },
): Promise<void> {
  const temporary = path + TEMPORARY;
  await rm(temporary, { force: true });
  // Exclusive, so that nobody can lead us through a link of theirs.
  const file = await open(temporary, 'wx', 0o600);
  try {
    await file.writeFile(text);
    await giveOwner(file, like);
    await file.chmod(like.mode & 0o7777);
    await file.sync();
  } catch (error) {
    await file.close();
    await rm(temporary, { force: true });
    throw error;
  }
  await file.close();
  await rename(temporary, path);
  await syncDirectoryOf(path);
}

async function giveOwner(file: FileHandle, like: { uid?: number; gid?: number }): Promise<void> {
  const own = await file.stat();
  const uid = like.uid ?? own.uid;
  const gid = like.gid ?? own.gid;
  if (uid !== own.uid || gid !== own.gid) await file.chown(uid, gid);
}

/** Makes what happened to the names in a file's directory durable. */
export async function syncDirectoryOf(path: string): Promise<void> {
  const directory = await open(dirname(path), 'r');
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}

/** Writes a file that only its owner may read, durably. */
export async function writePrivate(path: string, text: string): Promise<void> {
  await replaceFile(path, text, { mode: 0o600 });
  await chmod(path, 0o600);
}

/** What can be known of a file that is to be replaced; throws GW7005 where it cannot be. */
export async function openForReplacement(
  path: string,
): Promise<{ real: string; text: string; mode: number; uid: number; gid: number }> {
  try {
    const real = await realpath(path);
    const { mode, uid, gid } = await stat(real);
    const bytes = await readFile(real);
    // Ill-formed text would come back changed.
    const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
    return { real, text, mode, uid, gid };
  } catch (cause) {
    throw new GodwitError('GW7005', `The entry ${path} cannot be read: ${wordsOf(cause)}`, {
      details: { path },
      cause,
    });
  }
}

/** Says beforehand what would keep `replaceFile` from working. Throws GW7005. */
export async function checkReplaceable(real: string): Promise<void> {
  const refuse = (why: string, cause?: unknown): never => {
    throw new GodwitError('GW7005', `The entry ${real} cannot be rewritten: ${why}`, {
      details: { path: real },
      cause,
    });
  };
  try {
    await access(real, constants.W_OK);
    await access(dirname(real), constants.W_OK | constants.X_OK);
  } catch (cause) {
    refuse(`no permission to write it and its directory (${wordsOf(cause)})`, cause);
  }
  const file = await stat(real);
  if (!file.isFile()) refuse('it is not a regular file');
  if (file.nlink > 1) refuse('it has other names (hard links), which would keep the old address');
  const me = process.getuid?.();
  if (me !== undefined && me !== 0) {
    if (file.uid !== me) refuse(`it belongs to user ${file.uid}, and only root or that user can keep it so`);
    const groups = process.getgroups?.() ?? [];
    if (file.gid !== process.getgid?.() && !groups.includes(file.gid))
      refuse(`it belongs to group ${file.gid}, of which this user is no member`);
  }
  if (await isMountPoint(real)) refuse('it is mounted by itself (a single-file mount); mount its directory instead');
}

async function isMountPoint(real: string): Promise<boolean> {
  const mounts = await readFile('/proc/self/mountinfo', 'utf8').catch(() => '');
  const unescaped = (point: string) =>
    point.replace(/\\(\d{3})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)));
  return mounts.split('\n').some((line) => unescaped(line.split(' ')[4] ?? '') === real);
}

/** The reason of a failed file operation, short. */
export function wordsOf(error: unknown): string {
  const code = (error as NodeJS.ErrnoException).code;
  if (code === 'ENOENT') return 'it does not exist';
  if (code === 'EACCES' || code === 'EPERM') return 'permission denied';
  if (code === 'EROFS') return 'the file system is read-only';
  if (code === 'ERR_ENCODING_INVALID_ENCODED_DATA') return 'it is not UTF-8 text';
  return error instanceof Error ? error.message : String(error);
}
