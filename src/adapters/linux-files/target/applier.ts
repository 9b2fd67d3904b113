import { closeSync, ftruncateSync, writeSync } from 'node:fs';
import { GodwitError, invariant } from '../../../kernel/errors.ts';
import { type BytePath, joinPath, type Name } from '../libc/bytes.ts';
import { makeDirectory, makeLink, makeNewDirectory, makeNode, makeSymlink } from '../libc/change.ts';
import { punchHole } from '../libc/extents.ts';
import { areLocking, beforeContent, readInodeFlags, writeInodeFlags } from '../libc/inode-flags.ts';
import { errnoOf } from '../libc/native.ts';
import { O, openAt, withFd } from '../libc/open.ts';
import type { OnRemark } from '../source/remark.ts';
import { unpackMetadata } from '../wire/metadata.ts';
import { OP } from '../wire/operation.ts';
import { Unpacker } from '../wire/packer.ts';
import { isBelow, isOneName, type Place } from './place.ts';
import { removeUnlocked } from './remove.ts';
import { givesToChildren, setFlags, setMetadata, setMetadataAt } from './set-metadata.ts';

/** A directory that is open to be written in. */
interface Directory {
  readonly mapping: number;
  readonly path: BytePath;
  readonly fd: number;
  /** Whether new files in it have something that they should not (see givesToChildren). */
  readonly gives: boolean;
}

const PIECES: ReadonlySet<number> = new Set([OP.data, OP.hole, OP.change, OP.end]);

/** Carries out operations below the root of a place. Every one may come twice. */
export class Applier {
  readonly #place: Place;
  readonly #onRemark: OnRemark;
  #at: Directory | undefined;
  /** The large file that is being written. */
  #file: { readonly name: Name; readonly fd: number } | undefined;

  constructor(place: Place, onRemark: OnRemark) {
    this.#place = place;
    this.#onRemark = onRemark;
  }

  /** All operations of one bundle, in order. */
  apply(operations: Buffer): void {
    const from = new Unpacker(operations);
    while (!from.done) {
      const op = from.u8();
      try {
        this.#one(op, from);
      } catch (error) {
        throw this.#refusedBy(error);
      }
    }
  }

  close(): void {
    this.#closeFile();
    if (this.#at) closeSync(this.#at.fd);
    this.#at = undefined;
  }

  #one(op: number, from: Unpacker): void {
    if (op === OP.cd) this.#cd(from.u16(), from.text());
    else if (op === OP.leave) this.#leave(from);
    else if (op === OP.lock) this.#lock(from);
    else {
      const name = from.text();
      invariant(isOneName(name), 'An operation names no name');
      if (PIECES.has(op)) this.#piece(op, name, from);
      else {
        this.#closeFile();
        this.#whole(op, name, from);
      }
    }
  }

  /** Of the large file that is being written. */
  #piece(op: number, name: Name, from: Unpacker): void {
    const fd = this.#openFile(name);
    if (op === OP.data) writeAll(fd, from.long(), from.blob());
    else if (op === OP.hole) punchHole(fd, from.long(), from.long());
    else if (op === OP.change) ftruncateSync(fd, from.long());
    else {
      setMetadata(fd, unpackMetadata(from), this.#refused(name));
      this.#closeFile();
    }
  }

  #whole(op: number, name: Name, from: Unpacker): void {
    const { fd } = this.#directory;
    if (op === OP.enter) this.#enter(name);
    else if (op === OP.file) this.#wholeFile(name, from);
    else if (op === OP.begin) {
      const { inodeFlags } = unpackMetadata(from);
      this.#file = { name, fd: this.#create(fd, name, inodeFlags) };
      ftruncateSync(this.#file.fd, from.long());
    } else if (op === OP.symlink) {
      const metadata = unpackMetadata(from);
      const to = from.text();
      this.#instead(name, () => makeSymlink(fd, name, to));
      setMetadataAt(fd, name, metadata, true, this.#refused(name));
    } else if (op === OP.node) {
      const metadata = unpackMetadata(from);
      const [major, minor] = [from.u32(), from.u32()];
      this.#instead(name, () => makeNode(fd, name, metadata.mode, major, minor));
      setMetadataAt(fd, name, metadata, false, this.#refused(name));
    } else if (op === OP.link) this.#link(name, from.u16(), from.text());
    else if (op === OP.remove) removeUnlocked(fd, name);
    else throw new GodwitError('GW9001', `There is no operation ${op}`);
  }

  get #directory(): Directory {
    invariant(this.#at, 'An operation stands before any directory');
    return this.#at;
  }

  #cd(mapping: number, path: BytePath): void {
    invariant(isBelow(path), 'An operation leads out of the root');
    this.#goTo(mapping, path, this.#place.openDirectory(mapping, path));
  }

  #goTo(mapping: number, path: BytePath, fd: number, gives = givesToChildren(fd)): void {
    this.#closeFile();
    if (this.#at) closeSync(this.#at.fd);
    this.#at = { mapping, path, fd, gives };
    // Nothing can be made or removed in a directory that is locked; leaving it locks it again.
    if (gives && areLocking(readInodeFlags(fd))) writeInodeFlags(fd, 0);
  }

  #enter(name: Name): void {
    const { mapping, path, fd, gives } = this.#directory;
    const open = () => openAt(fd, name, O.RDONLY | O.DIRECTORY);
    const child = joinPath(path, name);
    // In one that gives nothing a new one has nothing to give.
    if (makeNewDirectory(fd, name, 0o700)) {
      this.#goTo(mapping, child, open(), gives ? undefined : false);
      return;
    }
    let there: number;
    try {
      there = open();
    } catch (error) {
      const code = errnoOf(error);
      if (code !== 'ENOTDIR' && code !== 'ELOOP') throw error;
      removeUnlocked(fd, name);
      makeDirectory(fd, name, 0o700);
      there = open();
    }
    this.#goTo(mapping, child, there);
  }

  #leave(from: Unpacker): void {
    const { fd } = this.#directory;
    this.#closeFile();
    setMetadata(fd, unpackMetadata(from), this.#refused(''));
    // Nobody may rely on where we are now: going to the directory above would unlock it.
    closeSync(fd);
    this.#at = undefined;
  }

  #wholeFile(name: Name, from: Unpacker): void {
    const metadata = unpackMetadata(from);
    const content = from.blob();
    withFd(this.#create(this.#directory.fd, name, metadata.inodeFlags), (fd) => {
      if (content.length > 0) writeAll(fd, 0, content);
      setMetadata(fd, metadata, this.#refused(name), !this.#directory.gives);
    });
  }

  /** A new file, of which no other name can be. */
  #create(dirFd: number, name: Name, inodeFlags: number): number {
    let fd = -1;
    this.#instead(name, () => {
      fd = openAt(dirFd, name, O.RDWR | O.CREAT | O.EXCL, 0o600);
    });
    const early = beforeContent(inodeFlags);
    if (early !== 0) setFlags(fd, early, this.#refused(name));
    return fd;
  }

  /** Makes a name; what is there already goes. */
  #instead(name: Name, make: () => void): void {
    try {
      make();
    } catch (error) {
      if (errnoOf(error) !== 'EEXIST') throw error;
      removeUnlocked(this.#directory.fd, name);
      make();
    }
  }

  #openFile(name: Name): number {
    if (this.#file?.name === name) return this.#file.fd;
    this.#closeFile();
    const fd = this.#openUnlocked(name);
    this.#file = { name, fd };
    return fd;
  }

  /** A file that an earlier round locked is unlocked: its flags come again with its metadata. */
  #openUnlocked(name: Name): number {
    const { fd } = this.#directory;
    try {
      return openAt(fd, name, O.RDWR | O.NONBLOCK);
    } catch (error) {
      if (errnoOf(error) !== 'EPERM') throw error;
      withFd(openAt(fd, name, O.RDONLY | O.NONBLOCK), (locked) => writeInodeFlags(locked, 0));
      return openAt(fd, name, O.RDWR | O.NONBLOCK);
    }
  }

  #closeFile(): void {
    if (this.#file) closeSync(this.#file.fd);
    this.#file = undefined;
  }

  #link(name: Name, mapping: number, path: BytePath): void {
    invariant(path !== '' && isBelow(path), 'A link leads out of the root');
    const cut = path.lastIndexOf('/');
    withFd(this.#place.openDirectory(mapping, path.slice(0, Math.max(0, cut))), (from) => {
      this.#instead(name, () => makeLink(from, path.slice(cut + 1), this.#directory.fd, name));
    });
  }

  #lock(from: Unpacker): void {
    const [mapping, path, flags] = [from.u16(), from.text(), from.u32()];
    invariant(path !== '' && isBelow(path), 'A lock leads out of the root');
    const cut = path.lastIndexOf('/');
    withFd(this.#place.openDirectory(mapping, path.slice(0, Math.max(0, cut))), (dirFd) =>
      withFd(openAt(dirFd, path.slice(cut + 1), O.RDONLY | O.NONBLOCK), (fd) => setFlags(fd, flags, this.#refused(''))),
    );
  }

  #refused(name: Name): (what: string) => void {
    return (detail) =>
      this.#onRemark({
        why: 'refused',
        path: name === '' ? this.#directory.path : joinPath(this.#directory.path, name),
        detail,
      });
  }

  #refusedBy(error: unknown): unknown {
    const errno = errnoOf(error);
    if (errno === undefined) return error;
    const full = errno === 'ENOSPC' || errno === 'EDQUOT';
    return new GodwitError(full ? 'GW5402' : 'GW5401', `The target refused a file: ${(error as Error).message}`, {
      details: { directory: this.#at?.path ?? '', errno },
      cause: error,
    });
  }
}

function writeAll(fd: number, offset: number, content: Buffer): void {
  for (let at = 0; at < content.length; ) at += writeSync(fd, content, at, content.length - at, offset + at);
}
