import type { Name } from '../libc/bytes.ts';

/** The first pages of the folios that became dirty; too many to be told one by one; or something else happened to it. */
export type DirtyPages = Set<number> | 'many' | undefined;

/** More of one file are as good as all of it. */
const MOST_PAGES = 65_536;

/** What may have changed since a moment. It names too much rather than too little. */
export class Changes {
  /** Why everything may have changed; undefined when the rest says all. */
  everything: string | undefined;
  /** Names that may mean something else by now, by the identity of their directory. */
  readonly names = new Map<string, Set<Name>>();
  /** Those of them that were, or are by now, the name of a directory or of a large file that was renamed. */
  readonly moved = new Map<string, Set<Name>>();
  /** Identities of files and directories (see Stat) of which content or metadata may be others. */
  readonly identities = new Set<string>();
  /** By the number of an inode, eight bytes, on whatever file system: its pages that became dirty. */
  readonly inodes = new Map<Name, DirtyPages>();
  /** Of identities: files whose content changed where no page tells it. */
  readonly whole = new Set<string>();
  /** Identities of files that were written to, by whatever means. */
  readonly written = new Set<string>();
  /** Kinds of file systems (see fileSystemType) of which every change of content is told. */
  exact: ReadonlySet<number> = new Set();

  addName(directory: string, name: Name): void {
    addTo(this.names, directory, name);
  }

  addMoved(directory: string, name: Name): void {
    addTo(this.moved, directory, name);
  }

  /** Whatever of it: what was told before did not come to the target. */
  addAll(identity: string): void {
    this.identities.add(identity);
    this.whole.add(identity);
  }

  addPage(inode: Name, index: number): void {
    const known = this.inodes.get(inode);
    if (known === undefined) this.inodes.set(inode, new Set([index]));
    else if (known !== 'many' && known.add(index).size > MOST_PAGES) this.inodes.set(inode, 'many');
  }

  addInode(inode: Name): void {
    if (!this.inodes.has(inode)) this.inodes.set(inode, undefined);
  }

  add(more: Changes): void {
    this.everything ??= more.everything;
    for (const [directory, names] of more.names) for (const name of names) this.addName(directory, name);
    for (const [directory, names] of more.moved) for (const name of names) this.addMoved(directory, name);
    for (const identity of more.identities) this.identities.add(identity);
    for (const identity of more.whole) this.whole.add(identity);
    for (const identity of more.written) this.written.add(identity);
    for (const [inode, pages] of more.inodes) {
      if (pages === undefined) this.addInode(inode);
      else if (pages === 'many') this.inodes.set(inode, pages);
      else for (const index of pages) this.addPage(inode, index);
    }
  }

  /**
   * The pages, or first pages of folios, of a file that may be other than they were, when that is all that can have
   * happened to its content: none when only its metadata changed. Undefined: nobody knows which.
   */
  pagesOf(identity: string, fileSystem: number): ReadonlySet<number> | undefined {
    if (this.everything !== undefined || !this.exact.has(fileSystem) || this.whole.has(identity)) return undefined;
    const pages = this.inodes.get(identity.slice(8));
    if (pages === 'many') return undefined;
    // Whatever wrote to it made no page dirty.
    if (pages === undefined) return this.written.has(identity) ? undefined : new Set();
    return pages;
  }

  /** Whether a file or directory, or a name in it, may be other than it was. */
  has(identity: string): boolean {
    return this.identities.has(identity) || this.inodes.has(identity.slice(8)) || this.names.has(identity);
  }

  get isEmpty(): boolean {
    return (
      this.everything === undefined && this.names.size === 0 && this.identities.size === 0 && this.inodes.size === 0
    );
  }
}

function addTo(names: Map<string, Set<Name>>, directory: string, name: Name): void {
  const known = names.get(directory);
  if (known === undefined) names.set(directory, new Set([name]));
  else known.add(name);
}
