import { createHash, randomUUID } from 'node:crypto';
import { readFile, rm } from 'node:fs/promises';
import { GodwitError } from '../../kernel/errors.ts';
import { syncDirectoryOf, wordsOf, writePrivate } from './replace-file.ts';

/** What is remembered of one value, beside its file: it may hold a password, and run state must not. */
export interface ValueBackup {
  /** The text that stood there, with its quotes. */
  readonly before: string;
  /** The text that stands there after the switch. */
  readonly after: string;
  /** Makes the digest say nothing about the password. */
  readonly salt: string;
}

interface BackupFile {
  readonly version: 1;
  readonly values: Readonly<Record<string, ValueBackup>>;
}

export function backupPath(real: string): string {
  return `${real}.godwit-backup`;
}

export function makeBackup(before: string, after: string): ValueBackup {
  return { before, after, salt: randomUUID() };
}

/** Names a backup without telling what it holds. */
export function digestOf(backup: ValueBackup): string {
  return createHash('sha256')
    .update(JSON.stringify([backup.salt, backup.before, backup.after]))
    .digest('hex');
}

/** The backup of one key, or undefined. */
export async function readBackup(real: string, key: string): Promise<ValueBackup | undefined> {
  return (await readAllBackups(real))[key];
}

/** Adds or replaces the backup of one key; durable when it returns. */
export async function writeBackup(real: string, key: string, backup: ValueBackup): Promise<void> {
  await store(real, { ...(await readAllBackups(real)), [key]: backup });
}

/** Forgets the backup of one key, and removes the file with the last of them. */
export async function dropBackup(real: string, key: string): Promise<void> {
  const { [key]: dropped, ...others } = await readAllBackups(real);
  if (dropped === undefined) return;
  if (Object.keys(others).length > 0) return store(real, others);
  await rm(backupPath(real), { force: true });
  await syncDirectoryOf(real);
}

async function store(real: string, values: BackupFile['values']): Promise<void> {
  await writePrivate(backupPath(real), `${JSON.stringify({ version: 1, values } satisfies BackupFile, null, 2)}\n`);
}

async function readAllBackups(real: string): Promise<BackupFile['values']> {
  const path = backupPath(real);
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return {};
    throw new GodwitError('GW7005', `The backup ${path} cannot be read: ${wordsOf(cause)}`, {
      details: { path },
      cause,
    });
  }
  try {
    const file = JSON.parse(text) as BackupFile;
    if (file.version === 1 && typeof file.values === 'object') return file.values;
  } catch {
    // Said below: what matters is that it is not ours.
  }
  throw new GodwitError('GW7005', `${path} is not a backup that Godwit can read; move it away if it is not needed`, {
    details: { path },
  });
}
