/**
 * An address kept in a file: a value of a JSON, YAML or env file is rewritten
 * in place, atomically. The application must read the file again by itself.
 *
 * What is durable when (a crash may fall between any two lines):
 *
 *     flip    1. the backup beside the file: the text before, the text after
 *             2. the run's memory: there is a backup, its digest
 *             3. the file, with the text after
 *     unflip  4. the file, with the text before
 *             5. the run's memory: there is none
 *             6. the backup is removed
 *
 * A backup that the memory does not name is of no value and is written over.
 */

import { resolveTxt } from 'node:dns/promises';
import { extname } from 'node:path';
import { GodwitError, throwIfAborted } from '../../kernel/errors.ts';
import type { CheckpointStore, Entry } from '../../kernel/ports.ts';
import { digestOf, dropBackup, makeBackup, readBackup, type ValueBackup, writeBackup } from './backup.ts';
import { locateEnv } from './env.ts';
import { checkReplaceable, openForReplacement, replaceFile, syncDirectoryOf, wordsOf } from './replace-file.ts';
import { type ClusterAddress, retarget, srvName } from './retarget.ts';
import { locateJson, locateYaml } from './structured.ts';
import { splice, type Token } from './token.ts';

export interface FileEntryOptions {
  readonly path: string;
  /** `db.uri` in JSON and YAML, `DATABASE_URL` in env files. */
  readonly key: string;
  /** By the file's name when absent. */
  readonly format?: 'json' | 'yaml' | 'env';
  /** The value after the switch. Default: the present address at the target's hosts. */
  readonly to?: string;
}

export interface FileEntryContext {
  readonly targetAddress: ClusterAddress;
  readonly memory: Pick<CheckpointStore, 'get' | 'set'>;
}

export interface FileEntry extends Entry {
  /** Removes the backup once a way back is no longer wanted. Idempotent. */
  discard(signal: AbortSignal): Promise<void>;
}

/** What the run's state holds: never the value itself. */
interface Remembered {
  readonly backup: string | null;
}

type Opened = Awaited<ReturnType<typeof openForReplacement>> & { token: Token };

const LOCATE = { json: locateJson, yaml: locateYaml, env: locateEnv } as const;

export function openFileEntry(options: FileEntryOptions, ctx: FileEntryContext): FileEntry {
  const { path, key } = options;
  const format = options.format ?? formatOf(path);
  const memoryKey = `entry.file:${path}#${key}`;

  const open = async (): Promise<Opened> => {
    const file = await openForReplacement(path);
    // The mark that some editors put first is no part of JSON.
    const mark = file.text.startsWith('\ufeff') ? 1 : 0;
    let token: Token | undefined;
    try {
      token = LOCATE[format](file.text.slice(mark), key);
    } catch (error) {
      if (!(error instanceof GodwitError)) throw error;
      throw new GodwitError('GW1001', `The entry ${path}: ${error.message}`, { details: { path, key }, cause: error });
    }
    if (!token) throw new GodwitError('GW1001', `The entry ${path} has no key ${key}`, { details: { path, key } });
    return { ...file, token: { ...token, start: token.start + mark, end: token.end + mark } };
  };

  const planned = async ({ token }: Opened): Promise<string> => {
    const value = options.to ?? retarget(token.value, ctx.targetAddress, await dnsOptions(token.value));
    return token.encode(value);
  };

  /** The backup that this run made and still owns. */
  const own = async (real: string): Promise<ValueBackup | undefined> => {
    const digest = ctx.memory.get<Remembered>(memoryKey)?.backup;
    if (!digest) return undefined;
    const backup = await readBackup(real, key);
    if (backup && digestOf(backup) === digest) return backup;
    throw failure(`its backup ${real}.godwit-backup is gone or was changed; set the address by hand`);
  };

  const failure = (why: string, cause?: unknown) =>
    new GodwitError('GW7005', `The entry ${path} (${key}): ${why}`, { details: { path, key }, cause });

  /** Puts `to` where `from` stands. Any other text there is somebody else's word. */
  const rewrite = async (opened: Opened, from: string, to: string): Promise<void> => {
    const { token, real, text } = opened;
    if (token.raw === to) return syncDirectoryOf(real);
    if (token.raw !== from) throw failure('its value was changed by somebody else meanwhile; Godwit leaves it alone');
    try {
      await replaceFile(real, splice(text, token, to), opened);
    } catch (cause) {
      throw failure(`it could not be rewritten: ${wordsOf(cause)}`, cause);
    }
  };

  return {
    kind: 'file',

    async check(signal) {
      throwIfAborted(signal);
      const opened = await open();
      await checkReplaceable(opened.real);
      const raw = (await own(opened.real))?.after ?? (await planned(opened));
      // What is written must be found again, or there would be no way back.
      const again = LOCATE[format](splice(opened.text, opened.token, raw).replace(/^\ufeff/, ''), key);
      if (again?.raw !== raw) throw failure('the new value cannot be written there; quote the present one');
    },

    async flip(signal) {
      throwIfAborted(signal);
      const opened = await open();
      let backup = await own(opened.real);
      if (!backup) {
        backup = makeBackup(opened.token.raw, await planned(opened));
        try {
          await writeBackup(opened.real, key, backup);
        } catch (cause) {
          throw failure(`its backup could not be written: ${wordsOf(cause)}`, cause);
        }
        ctx.memory.set(memoryKey, { backup: digestOf(backup) } satisfies Remembered);
      }
      await rewrite(opened, backup.before, backup.after);
    },

    async unflip(signal) {
      throwIfAborted(signal);
      const opened = await open();
      const backup = await own(opened.real);
      if (!backup) return;
      await rewrite(opened, backup.after, backup.before);
      ctx.memory.set(memoryKey, { backup: null } satisfies Remembered);
      await dropBackup(opened.real, key);
    },

    async discard(signal) {
      throwIfAborted(signal);
      const { real } = await openForReplacement(path);
      const had = ctx.memory.get<Remembered>(memoryKey)?.backup;
      if (!had) return;
      const backup = await readBackup(real, key);
      ctx.memory.set(memoryKey, { backup: null } satisfies Remembered);
      if (backup && digestOf(backup) === had) await dropBackup(real, key);
    },
  };
}

/** By the name: `.json`, `.yaml`/`.yml`; `.env`, `.env.local`, `app.env` and everything else are env files. */
function formatOf(path: string): 'json' | 'yaml' | 'env' {
  const extension = extname(path).toLowerCase();
  if (extension === '.json') return 'json';
  return extension === '.yaml' || extension === '.yml' ? 'yaml' : 'env';
}

/** Options that a `mongodb+srv` name carries in DNS; without an answer, none. */
async function dnsOptions(value: string): Promise<string> {
  const name = srvName(value);
  if (name === undefined) return '';
  const records = await resolveTxt(name).catch(() => []);
  return records[0]?.join('') ?? '';
}
