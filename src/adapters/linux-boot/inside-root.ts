/** Paths of a moved system, which must never lead to files of the machine that adapts it. */
import { lstatSync, readdirSync, readFileSync, readlinkSync, realpathSync, statSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { GodwitError } from '../../kernel/errors.ts';

const MOST_LINKS = 40;

/**
 * The directory that somebody gave as the root of a moved system, without links.
 * @throws GodwitError GW1001
 */
export function rootOf(given: string): string {
  if (!lstatSync(given, { throwIfNoEntry: false }) || !statSync(given).isDirectory())
    throw new GodwitError('GW1001', `--root ${given} is no directory`);
  return realpathSync(given);
}

/** Where `path` is, with every link on the way followed as the moved system would; the last name itself is not. */
export function place(root: string, path: string): string {
  let links = 0;
  const walk = (from: string, names: readonly string[], isDirectory: boolean): string => {
    let at = from;
    for (const [index, name] of names.entries()) {
      const next = name === '..' ? dirname(at) : join(at, name);
      const isLast = index === names.length - 1 && !isDirectory;
      const stat = isLast ? undefined : lstatSync(join(root, next), { throwIfNoEntry: false });
      if (stat?.isSymbolicLink()) {
        links += 1;
        if (links > MOST_LINKS) throw new GodwitError('GW2411', `${path} leads in a circle`);
        const to = readlinkSync(join(root, next));
        at = walk(to.startsWith('/') ? '/' : at, namesOf(to), true);
      } else at = next;
    }
    return at;
  };
  return join(root, walk('/', namesOf(normalize(`/${path}`)), false));
}

/** The file that is meant, with links followed to its end. */
export function placeOfContent(root: string, path: string): string {
  let at = path;
  for (let links = 0; links < MOST_LINKS; links += 1) {
    const file = place(root, at);
    if (lstatSync(file, { throwIfNoEntry: false })?.isSymbolicLink() !== true) return file;
    const to = readlinkSync(file);
    at = to.startsWith('/') ? to : join(dirname(file).slice(root.length) || '/', to);
  }
  throw new GodwitError('GW2411', `${path} leads in a circle`);
}

/** Undefined where there is no such file. */
export function readText(root: string, path: string): string | undefined {
  const file = placeOfContent(root, path);
  return lstatSync(file, { throwIfNoEntry: false })?.isFile() ? readFileSync(file, 'utf8') : undefined;
}

export function isThere(root: string, path: string): boolean {
  return lstatSync(placeOfContent(root, path), { throwIfNoEntry: false }) !== undefined;
}

/** Names in a directory, sorted; none where there is none. */
export function namesIn(root: string, path: string): readonly string[] {
  const dir = placeOfContent(root, path);
  return lstatSync(dir, { throwIfNoEntry: false })?.isDirectory() ? readdirSync(dir).sort() : [];
}

function namesOf(path: string): readonly string[] {
  return path.split('/').filter((name) => name !== '' && name !== '.');
}

/** Whether a unit of systemd is turned off for good. */
export function isMasked(root: string, unit: string): boolean {
  const file = place(root, `etc/systemd/system/${unit}`);
  return lstatSync(file, { throwIfNoEntry: false })?.isSymbolicLink() === true && readlinkSync(file) === '/dev/null';
}

/** Undefined where there is no such file. */
export function readBytes(root: string, path: string): Buffer | undefined {
  const file = placeOfContent(root, path);
  return lstatSync(file, { throwIfNoEntry: false })?.isFile() ? readFileSync(file) : undefined;
}
