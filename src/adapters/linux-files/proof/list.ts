import { flagsOf, isStill, openContent, statOf, unreadableText, withContent, xattrsOf } from '../held/content.ts';
import type { BytePath } from '../libc/bytes.ts';
import { readLink } from '../libc/change.ts';
import { readInodeFlags } from '../libc/inode-flags.ts';
import { errnoOf } from '../libc/native.ts';
import { O, openAt, withFd } from '../libc/open.ts';
import { type Stat, statAt, statFd } from '../libc/stat.ts';
import { readXattrs, throughProc } from '../libc/xattr.ts';
import { walkKey } from '../source/catalog-record.ts';
import { Clean, makeClean } from '../source/clean.ts';
import type { OnRemark } from '../source/remark.ts';
import { type Step, walk } from '../source/walk.ts';
import { hashContent } from './content.ts';
import { lineOf, linkLine } from './line.ts';
import type { Memo } from './memo.ts';
import { TreeHash } from './tree-hash.ts';

/** One name with everything that is to be equal. */
export interface Listed {
  readonly mapping: number;
  readonly path: BytePath;
  readonly key: string;
  readonly line: string;
}

export interface ListTotals {
  entries: number;
  bytes: number;
  /** Of each mapping. */
  readonly roots: string[];
}

export interface ListOptions {
  readonly own: ReadonlySet<string>;
  readonly onRemark: OnRemark;
  /** What is known already, and is to be known the next time. Without it everything is read. */
  readonly memo?: Memo | undefined;
}

/** Reads all of the trees and gives each name with its line, in the order of the walk; `totals` is right at the end. */
export function* listTrees(
  rootFds: readonly number[],
  { own, onRemark, memo }: ListOptions,
  totals: ListTotals,
): Generator<Listed, void, void> {
  const clean = new Clean();
  const links = new Map<string, { mapping: number; path: BytePath; left: number }>();
  for (const [mapping, rootFd] of rootFds.entries()) {
    const tree = new TreeHash();
    for (const step of walk(rootFd, { own, onRemark })) {
      if (step.kind === 'leave') {
        tree.leave();
        continue;
      }
      totals.entries += 1;
      if (step.stat.kind === 'file') totals.bytes += step.stat.size;
      const line = linkOf(step) ?? known(step) ?? describe(step);
      if (step.kind === 'enter') tree.enter(step.name, line);
      else tree.entry(step.name, line);
      yield { mapping, path: step.path, key: walkKey(mapping, step.path), line };
    }
    totals.roots.push(tree.root);

    function linkOf({ kind, stat, path }: Step): string | undefined {
      if (kind !== 'entry' || stat.nlink < 2) return undefined;
      const known = links.get(stat.identity);
      if (known === undefined) {
        links.set(stat.identity, { mapping, path, left: stat.nlink - 1 });
        return undefined;
      }
      known.left -= 1;
      if (known.left <= 0) links.delete(stat.identity);
      return linkLine(known.mapping, known.path);
    }

    function known({ path, stat }: Step): string | undefined {
      const line = memo?.take(mapping, path, stat.signature);
      if (line !== undefined) memo?.add(mapping, path, stat.signature, line);
      return line;
    }

    function describe(step: Exclude<Step, { kind: 'leave' }>): string {
      try {
        if (memo && !clean.has(step.stat.device)) {
          if (step.kind === 'enter') clean.make(step.fd, step.stat.device);
          else makeClean(clean, step);
        }
        const { line, stat } = step.kind === 'enter' ? describeDirectory(step) : describeEntry(step, onRemark);
        if (memo && stat !== undefined && clean.isSettled(stat)) memo.add(mapping, step.path, stat.signature, line);
        return line;
      } catch (error) {
        const code = errnoOf(error);
        if (code === undefined) throw error;
        onRemark({ why: 'unreadable', path: step.path, detail: unreadableText(error) });
        return `unreadable=${code}`;
      }
    }
  }
}

/** A line, and what the name was like before and after it was read; without that it may have been another one by the end. */
interface DescribedName {
  readonly line: string;
  readonly stat?: Stat | undefined;
}

function describeDirectory({ fd, stat }: Step & { kind: 'enter' }): DescribedName {
  const line = lineOf({ stat, inodeFlags: readInodeFlags(fd), xattrs: readXattrs(fd) });
  return { line, stat: ifSame(stat, statFd(fd)) };
}

function describeEntry({ dirFd, name, path, stat }: Step & { kind: 'entry' }, onRemark: OnRemark): DescribedName {
  if (stat.kind !== 'file') {
    const xattrs = withFd(openAt(dirFd, name, O.PATH), (fd) => readXattrs(throughProc(fd)));
    const target = stat.kind === 'symlink' ? { target: readLink(dirFd, name) } : {};
    const line = lineOf({ stat, inodeFlags: 0, xattrs, ...target });
    return { line, stat: ifSame(stat, statAt(dirFd, name)) };
  }
  const content = openContent(dirFd, name, (detail) => onRemark({ why: 'held', path, detail }));
  return withContent(content, (file) => {
    const found = statOf(file);
    if (found.kind !== 'file') return { line: `type=${found.kind}` };
    const line = lineOf({
      stat: found,
      inodeFlags: flagsOf(file),
      xattrs: xattrsOf(file),
      content: hashContent(file, found),
    });
    return { line, stat: isStill(file, found) ? found : undefined };
  });
}

function ifSame(before: Stat, after: Stat): Stat | undefined {
  return before.signature === after.signature ? before : undefined;
}
