import { createHash } from 'node:crypto';

/**
 * Names of files as mongodump makes them (mongodump/prepare.go, `outputPath`;
 * Go's `url.QueryEscape`): a blank is `+`, everything but letters, digits and
 * `-_.~` is `%XX`. A name that would be too long for a file is cut, and the
 * hash of the whole is put behind it; the metadata then say what it was.
 */
const LONGEST = 238;
const KEPT = 208;
/** What stands between a name that was cut and its hash: an escaped `$`. */
const CUT_MARK = '%24';

/** The name of a collection as the beginning of a file's name. */
export function fileNameOf(collection: string): string {
  const escaped = escapeName(collection);
  if (escaped.length <= LONGEST) return escaped;
  const hash = createHash('sha1').update(collection, 'utf8').digest('base64url');
  return `${escaped.slice(0, KEPT)}${CUT_MARK}${hash}`;
}

/** Whether only the metadata know the name of the collection. */
export function isCutName(fileName: string): boolean {
  return fileName.length === LONGEST && fileName.includes(CUT_MARK);
}

/** The collection that a file's name (without its endings) stands for; undefined when it is no such name. */
export function collectionOf(fileName: string): string | undefined {
  try {
    return decodeURIComponent(fileName.replaceAll('+', ' '));
  } catch {
    return undefined;
  }
}

function escapeName(name: string): string {
  let out = '';
  for (const byte of Buffer.from(name, 'utf8')) {
    const char = String.fromCharCode(byte);
    if (char === ' ') out += '+';
    else if (/[A-Za-z0-9\-_.~]/.test(char)) out += char;
    else out += `%${byte.toString(16).toUpperCase().padStart(2, '0')}`;
  }
  return out;
}
