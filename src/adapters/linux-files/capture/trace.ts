/**
 * The kernel's trace of pages that become dirty: the only one that tells of a
 * store through a mapping. It is read in a ring of its own, through a mount that
 * nobody else sees.
 */
import { closeSync, existsSync, readFileSync, readSync, writeFileSync } from 'node:fs';
import { type Name, toC } from '../libc/bytes.ts';
import { makeDirectory } from '../libc/change.ts';
import { readNames } from '../libc/directory.ts';
import { checked, errnoOf, libc, SYSCALL } from '../libc/native.ts';
import { O, openAt, withFd } from '../libc/open.ts';
import { exactFileSystems, inodesOf, NEEDED, type Tells, TOLD } from './trace-events.ts';
import { parseTraceFormat, type TraceFormat } from './trace-format.ts';
import { readTracePage } from './trace-page.ts';

const FSCONFIG_CREATE = 6;
const AT_REMOVEDIR = 0x200;
const PREFIX = 'godwit-';
const page = Buffer.allocUnsafeSlow(64 * 1024);

/** Who is told. Inodes are numbers of eight bytes, on whatever file system; identities have the device before them. */
export interface TraceSink {
  readonly onInode: (inode: Name) => void;
  /** A page, or the first of a folio, became dirty. */
  readonly onPage: (inode: Name, index: number) => void;
  readonly onRange: (inode: Name, start: number, end: number) => void;
  /** The content changed where no page tells it. */
  readonly onWhole: (identity: string) => void;
}

interface TracedEvent {
  readonly tells: Tells;
  readonly inodesAt: readonly number[];
  /** What it holds at least, for what is read of it. */
  readonly end: number;
  readonly indexAt: number;
  readonly devAt: number;
  readonly posAt: number;
  readonly retAt: number;
}

export class Trace {
  readonly #instances: number;
  readonly #name: Name;
  readonly #rings: number[] = [];
  readonly #events = new Map<number, TracedEvent>();
  /** File systems of which every change of content is told (see exactFileSystems). */
  readonly exact: ReadonlySet<number>;

  /** A ring of so many KiB a processor: what does not fit is lost, and said to be. */
  constructor(ringKiB: number) {
    const root = mountTracefs();
    try {
      this.#instances = open(root, 'instances');
    } finally {
      closeSync(root);
    }
    this.#name = `${PREFIX}${process.pid}-${counter}`;
    counter += 1;
    try {
      this.#removeLeft();
      makeDirectory(this.#instances, this.#name, 0o700);
      this.exact = withFd(open(this.#instances, this.#name), (fd) => this.#begin(fd, ringKiB));
    } catch (error) {
      this.close();
      throw error;
    }
  }

  #begin(fd: number, ringKiB: number): ReadonlySet<number> {
    write(fd, 'buffer_size_kb', String(ringKiB));
    const found = new Map<string, TraceFormat>();
    for (const [event, tells] of TOLD) {
      const format = formatOf(fd, event);
      const inodesAt = format && inodesOf(format);
      if (format === undefined || inodesAt === undefined || inodesAt.length === 0) continue;
      found.set(event, format);
      const at = (field: string) => format.offsets.get(field) ?? -1;
      this.#events.set(format.id, {
        tells,
        inodesAt,
        end: 8 + Math.max(...inodesAt, at('index'), at('pos'), at('ret')),
        indexAt: at('index'),
        devAt: at('dev'),
        posAt: at('pos'),
        retAt: at('ret'),
      });
    }
    if (!NEEDED.some((event) => found.has(event))) throw new Error('this kernel does not trace dirty pages');
    withFd(open(fd, 'per_cpu'), (all) => {
      for (const cpu of readNames(all)) {
        this.#rings.push(withFd(open(all, cpu), (of) => openAt(of, 'trace_pipe_raw', O.RDONLY | O.NONBLOCK)));
      }
    });
    for (const event of found.keys()) {
      // Inodes that only wait for their pages to be written say nothing that the pages have not said.
      if (event.endsWith('mark_inode_dirty')) write(fd, `events/${event}/filter`, 'flags & 3');
      write(fd, `events/${event}/enable`, '1');
    }
    return exactFileSystems(found);
  }

  /** Rings of processes that were killed. */
  #removeLeft(): void {
    for (const name of readNames(this.#instances)) {
      const pid = Number(new RegExp(`^${PREFIX}(\\d+)-`).exec(name)?.[1]);
      if (pid > 0 && !existsSync(`/proc/${pid}`)) libc().unlinkat(this.#instances, toC(name), AT_REMOVEDIR);
    }
  }

  /** Tells what came since the last time. False: some of it was lost. */
  drain(to: TraceSink): boolean {
    let isComplete = true;
    for (const ring of this.#rings) {
      for (;;) {
        const length = readRing(ring);
        if (length === 0) break;
        const { lost } = readTracePage(page.subarray(0, length), (at, size) => {
          const event = this.#events.get(page.readUInt16LE(at));
          if (event !== undefined && event.end <= size) tell(event, at, to);
        });
        if (lost) isComplete = false;
      }
    }
    return isComplete;
  }

  close(): void {
    for (const ring of this.#rings.splice(0)) closeSync(ring);
    libc().unlinkat(this.#instances, toC(this.#name), AT_REMOVEDIR);
    closeSync(this.#instances);
  }
}

let counter = 0;

function tell(event: TracedEvent, at: number, to: TraceSink): void {
  const { tells, inodesAt, indexAt, posAt, retAt } = event;
  const inode = inodeAt(at + (inodesAt[0] as number));
  if (tells === 'page' && indexAt >= 0) {
    to.onPage(inode, longAt(at + indexAt));
    return;
  }
  if (tells === 'whole') {
    if (event.devAt < 0) return;
    for (const each of inodesAt) to.onWhole(deviceAt(at + event.devAt) + inodeAt(at + each));
    return;
  }
  to.onInode(inode);
  if (tells !== 'direct' || posAt < 0 || retAt < 0 || event.devAt < 0) return;
  // The position is that after it.
  const [end, length] = [longAt(at + posAt), longAt(at + retAt)];
  if (length > 0) to.onRange(inode, end - length, end);
  else if (length < 0) to.onWhole(deviceAt(at + event.devAt) + inode);
}

let lastInode = '';
let lastWords: readonly [number, number] = [0, 0];

/** Eight bytes; most often those of the event before. */
function inodeAt(at: number): Name {
  const [low, high] = [page.readUInt32LE(at), page.readUInt32LE(at + 4)];
  if (low === lastWords[0] && high === lastWords[1] && lastInode !== '') return lastInode;
  lastWords = [low, high];
  lastInode = page.toString('latin1', at, at + 8);
  return lastInode;
}

function longAt(at: number): number {
  return page.readInt32LE(at + 4) * 0x1_0000_0000 + page.readUInt32LE(at);
}

/** As statx has it; in the kernel the minor number has the lower 20 bits. */
function deviceAt(at: number): Name {
  const device = page.readUInt32LE(at);
  const bytes = Buffer.alloc(8);
  bytes.writeUInt32LE(device >>> 20, 0);
  bytes.writeUInt32LE(device & 0xf_ffff, 4);
  return bytes.toString('latin1');
}

/** Belongs to no name space: it is gone when its descriptors are. */
function mountTracefs(): number {
  const call = libc();
  return withFd(checked(call.fsopen(SYSCALL.fsopen, toC('tracefs'), 1), 'fsopen'), (context) => {
    checked(call.fsconfig(SYSCALL.fsconfig, context, FSCONFIG_CREATE, null, null, 0), 'fsconfig');
    return checked(call.fsmount(SYSCALL.fsmount, context, 1, 0), 'fsmount');
  });
}

function open(fd: number, path: Name, flags: number = O.RDONLY | O.DIRECTORY): number {
  return openAt(fd, path, flags);
}

function write(fd: number, path: Name, text: string): void {
  withFd(open(fd, path, O.WRONLY), (file) => writeFileSync(file, text));
}

function formatOf(fd: number, event: string): TraceFormat | undefined {
  try {
    return parseTraceFormat(withFd(open(fd, `events/${event}/format`, O.RDONLY), (file) => readFileSync(file, 'utf8')));
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}

function readRing(ring: number): number {
  try {
    return readSync(ring, page, 0, page.length, null);
  } catch (error) {
    if (errnoOf(error) === 'EAGAIN') return 0;
    throw error;
  }
}
