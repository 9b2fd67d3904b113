/** Reads regular files so that what is sent is one state of them, or is known not to be. */

import {
  type Content,
  flagsOf,
  isStill,
  nextDataOf,
  openContent,
  readFully,
  statOf,
  withContent,
  xattrsOf,
} from '../held/content.ts';
import type { Name } from '../libc/bytes.ts';
import { areLocking } from '../libc/inode-flags.ts';
import type { Stat } from '../libc/stat.ts';
import { packMetadata } from '../wire/metadata.ts';
import { OP } from '../wire/operation.ts';
import type { Packer } from '../wire/packer.ts';

/** How often a small file is read again at once when it changed under the read. */
const TRIES = 3;

/**
 * Packs a small file as one operation. Gives what it was like after it was read,
 * and whether it was the same before: undefined when it is no file any more.
 */
export function packSmallFile(
  to: Packer,
  dirFd: number,
  name: Name,
  on: { readonly flags: (flags: number) => void; readonly held: (how: string) => void },
): { readonly stat: Stat; readonly isWhole: boolean } | 'large' | undefined {
  return withContent(openContent(dirFd, name, on.held), (content) => {
    const start = to.length;
    let before = statOf(content);
    for (let left = TRIES; ; left -= 1) {
      if (before.kind !== 'file') return undefined;
      const flags = flagsOf(content);
      to.u8(OP.file);
      to.text(name);
      packMetadata(to, before, before.nlink > 1 && areLocking(flags) ? 0 : flags, xattrsOf(content));
      to.u32(before.size);
      const at = to.room(before.size);
      const read = readFully(content, to.memory, at, before.size, 0);
      const stat = statOf(content);
      const isWhole = read === before.size && isStill(content, before, stat);
      if (isWhole || left === 0) {
        // Cut off while it was read: the rest is zeros, and it will come again.
        if (read < before.size) to.memory.fill(0, at + read, at + before.size);
        if (areLocking(flags)) on.flags(flags);
        return { stat: before, isWhole };
      }
      to.cutTo(start);
      if (stat.size > before.size * 4 && stat.size > 1 << 20) return 'large';
      before = stat;
    }
  });
}

/** Whether a file of this size has no hole. */
export function isDense(content: Content, stat: Stat): boolean {
  if (stat.size === 0) return true;
  const data = nextDataOf(content, 0, stat.size);
  return data !== undefined && data.start === 0 && data.end >= stat.size;
}
