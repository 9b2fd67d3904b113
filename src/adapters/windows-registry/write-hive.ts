/**
 * The writer: a tree to the bytes of a clean primary file, as Windows lays
 * them out (same sources as read-hive.ts). What can be derived is derived
 * anew: order and hashes of subkeys, longest names, counts of security
 * descriptors, checksum. Nothing of the old file's waste is carried over.
 */
import { GodwitError } from '../../kernel/errors.ts';
import { BASE_BLOCK, baseBlockSum } from './base-block.ts';
import { Bins, cellSize } from './bins.ts';
import { NOWHERE } from './cells.ts';
import { compareUpper, isLatin1, nameHash, nameHint, upperName } from './names.ts';
import { DEEPEST, SEGMENT } from './read-hive.ts';
import { type Hive, type HiveKey, type HiveValue, KEY } from './tree.ts';

const LATIN1_KEY = 0x20;
const LATIN1_VALUE = 0x1;
const TOMBSTONE = 0x2;
const INLINE = 0x80000000;
/** Entries of a list of subkeys that still fits into the smallest bin. */
const LIST_ENTRIES = 507;

/** GW2305 where the tree has something that the format cannot hold. */
export function writeHive(hive: Hive): Buffer {
  const base = Buffer.alloc(BASE_BLOCK);
  base.set(hive.baseBlock.subarray(0, BASE_BLOCK - 8));
  const bins = new Bins(estimate(hive.root));
  const writer = new TreeWriter(bins, hive.minorVersion);
  const root = writer.write(hive.root);
  const content = bins.finish(base.readBigUInt64LE(12));
  stamp(base, hive.minorVersion, root, content.length);
  return Buffer.concat([base, content]);
}

/** A base block for a hive that nobody has written yet. */
export function newBaseBlock(fileName: string): Uint8Array {
  const base = Buffer.alloc(BASE_BLOCK);
  base.write(fileName.slice(-31), 48, 'utf16le');
  return base;
}

function stamp(base: Buffer, minorVersion: number, root: number, size: number): void {
  const sequence = (base.readUInt32LE(4) + 1) >>> 0;
  base.write('regf', 0, 'latin1');
  base.writeUInt32LE(sequence, 4);
  base.writeUInt32LE(sequence, 8);
  base.writeUInt32LE(1, 20);
  base.writeUInt32LE(minorVersion, 24);
  base.writeUInt32LE(0, 28);
  base.writeUInt32LE(1, 32);
  base.writeUInt32LE(root, 36);
  base.writeUInt32LE(size, 40);
  base.writeUInt32LE(1, 44);
  base.writeUInt32LE(baseBlockSum(base), 508);
}

interface Security {
  readonly offset: number;
  readonly descriptor: Uint8Array;
  references: number;
}

class TreeWriter {
  readonly #bins: Bins;
  readonly #minorVersion: number;
  readonly #security = new Map<string, Security>();
  /** Most keys share one object with their neighbours: found without looking at the bytes. */
  readonly #known = new Map<Uint8Array, Security>();

  constructor(bins: Bins, minorVersion: number) {
    this.#bins = bins;
    this.#minorVersion = minorVersion;
  }

  write(root: HiveKey): number {
    const offset = this.#key(root, NOWHERE, 0, KEY.root);
    this.#linkSecurity();
    return offset;
  }

  #key(key: HiveKey, parent: number, depth: number, flags = 0): number {
    if (depth > DEEPEST) throw unwritable(`The key ${JSON.stringify(key.name)} is deeper than ${DEEPEST} levels`);
    const name = nameBytes(key.name, 'key');
    const node = Buffer.alloc(76 + name.length);
    const offset = this.#bins.allocate(node.length);
    const isHandle = (key.flags & KEY.predefinedHandle) !== 0;
    const latin1 = name.length === key.name.length && key.name !== '' ? LATIN1_KEY : 0;
    node.write('nk', 0, 'latin1');
    node.writeUInt16LE(((key.flags & ~KEY.root) | flags | latin1) & 0xffff, 2);
    node.writeBigUInt64LE(BigInt.asUintN(64, key.timestamp), 4);
    node.writeUInt32LE(key.accessBits >>> 0, 12);
    node.writeUInt32LE(parent, 16);
    node.writeUInt32LE(key.subkeys.length, 20);
    node.writeUInt32LE(this.#subkeys(key.subkeys, offset, depth + 1), 28);
    node.writeUInt32LE(NOWHERE, 32);
    node.writeUInt32LE(isHandle ? key.handle >>> 0 : key.values.length, 36);
    node.writeUInt32LE(isHandle ? NOWHERE : this.#values(key.values), 40);
    node.writeUInt32LE(this.#securityOf(key.security), 44);
    node.writeUInt32LE(key.className?.length ? this.#bins.put(key.className) : NOWHERE, 48);
    node.writeUInt16LE(
      longest(key.subkeys, (child) => 2 * child.name.length, 0xffff),
      52,
    );
    node.writeUInt16LE(key.userFlags & 0xffff, 54);
    node.writeUInt32LE(
      longest(key.subkeys, (child) => child.className?.length ?? 0),
      56,
    );
    node.writeUInt32LE(
      longest(key.values, (value) => 2 * value.name.length),
      60,
    );
    node.writeUInt32LE(
      longest(key.values, (value) => value.data.length),
      64,
    );
    node.writeUInt16LE(name.length, 72);
    node.writeUInt16LE(checkedLength(key.className?.length ?? 0, 'class name'), 74);
    name.copy(node, 76);
    this.#bins.fill(offset, node);
    return offset;
  }

  #subkeys(keys: readonly HiveKey[], parent: number, depth: number): number {
    if (keys.length === 0) return NOWHERE;
    const entries = keys.map((key) => ({ key, upper: upperName(key.name), offset: 0 }));
    entries.sort((a, b) => compareUpper(a.upper, b.upper));
    entries.forEach((entry, index) => {
      if (entry.upper === entries[index - 1]?.upper) {
        throw unwritable(`Two subkeys have the name ${JSON.stringify(entry.key.name)}`);
      }
      entry.offset = this.#key(entry.key, parent, depth);
    });
    const lists: number[] = [];
    for (let from = 0; from < entries.length; from += LIST_ENTRIES) {
      lists.push(this.#leaf(entries.slice(from, from + LIST_ENTRIES)));
    }
    if (lists.length === 1) return lists[0]!;
    if (lists.length > 0xffff) throw unwritable(`A key has ${keys.length} subkeys`);
    const root = Buffer.alloc(4 + 4 * lists.length);
    root.write('ri', 0, 'latin1');
    root.writeUInt16LE(lists.length, 2);
    lists.forEach((list, index) => {
      root.writeUInt32LE(list, 4 + 4 * index);
    });
    return this.#bins.put(root);
  }

  /** A hash leaf, or before format 1.5 a fast leaf. */
  #leaf(entries: readonly { readonly key: HiveKey; readonly upper: string; readonly offset: number }[]): number {
    const isHashed = this.#minorVersion > 4;
    const list = Buffer.alloc(4 + 8 * entries.length);
    list.write(isHashed ? 'lh' : 'lf', 0, 'latin1');
    list.writeUInt16LE(entries.length, 2);
    entries.forEach(({ key, upper, offset }, index) => {
      list.writeUInt32LE(offset, 4 + 8 * index);
      list.writeUInt32LE(isHashed ? nameHash(upper) : nameHint(key.name), 8 + 8 * index);
    });
    return this.#bins.put(list);
  }

  #values(values: readonly HiveValue[]): number {
    if (values.length === 0) return NOWHERE;
    const list = Buffer.alloc(4 * values.length);
    const names = new Set<string>();
    values.forEach((value, index) => {
      const upper = upperName(value.name);
      if (names.has(upper)) throw unwritable(`Two values have the name ${JSON.stringify(value.name)}`);
      names.add(upper);
      list.writeUInt32LE(this.#value(value), 4 * index);
    });
    return this.#bins.put(list);
  }

  #value({ name, type, data, flags }: HiveValue): number {
    const bytes = nameBytes(name, 'value');
    const cell = Buffer.alloc(20 + bytes.length);
    cell.write('vk', 0, 'latin1');
    cell.writeUInt16LE(bytes.length, 2);
    if ((flags & TOMBSTONE) !== 0 && data.length === 0) {
      cell.writeUInt32LE(NOWHERE, 8);
    } else if (data.length <= 4) {
      cell.writeUInt32LE(INLINE + data.length, 4);
      cell.set(data, 8);
    } else {
      cell.writeUInt32LE(data.length, 4);
      cell.writeUInt32LE(this.#data(data), 8);
    }
    cell.writeUInt32LE(type >>> 0, 12);
    const latin1 = bytes.length === name.length && name !== '' ? LATIN1_VALUE : 0;
    cell.writeUInt16LE((flags | latin1) & 0xffff, 16);
    bytes.copy(cell, 20);
    return this.#bins.put(cell);
  }

  #data(data: Uint8Array): number {
    if (data.length <= SEGMENT || this.#minorVersion < 4) return this.#bins.put(data);
    const count = Math.ceil(data.length / SEGMENT);
    if (count > 0xffff) throw unwritable(`A value has ${data.length} bytes`);
    const list = Buffer.alloc(4 * count);
    let last = 0;
    for (let index = 0; index < count; index += 1) {
      const part = data.subarray(index * SEGMENT, (index + 1) * SEGMENT);
      // Four bytes more: a full segment has them anyway, and hivex takes them off the last one too.
      // One behind the other: reglookup reads them in the order of their places.
      last = this.#bins.allocate(part.length + 4, last);
      this.#bins.fill(last, part);
      list.writeUInt32LE(last, 4 * index);
    }
    const header = Buffer.alloc(8);
    header.write('db', 0, 'latin1');
    header.writeUInt16LE(count, 2);
    header.writeUInt32LE(this.#bins.put(list), 4);
    return this.#bins.put(header);
  }

  #securityOf(descriptor: Uint8Array | undefined): number {
    if (descriptor === undefined) return NOWHERE;
    let entry = this.#known.get(descriptor);
    if (entry === undefined) {
      const text = Buffer.from(descriptor.buffer, descriptor.byteOffset, descriptor.length).toString('latin1');
      entry = this.#security.get(text);
      if (entry === undefined) {
        entry = { offset: this.#bins.allocate(20 + descriptor.length), descriptor, references: 0 };
        this.#security.set(text, entry);
      }
      this.#known.set(descriptor, entry);
    }
    entry.references += 1;
    return entry.offset;
  }

  /** Descriptors form a ring, each with the number of keys that point to it. */
  #linkSecurity(): void {
    const ring = [...this.#security.values()];
    ring.forEach(({ offset, descriptor, references }, index) => {
      const cell = Buffer.alloc(20 + descriptor.length);
      cell.write('sk', 0, 'latin1');
      cell.writeUInt32LE(ring[(index + 1) % ring.length]!.offset, 4);
      cell.writeUInt32LE(ring[(index + ring.length - 1) % ring.length]!.offset, 8);
      cell.writeUInt32LE(references, 12);
      cell.writeUInt32LE(descriptor.length, 16);
      cell.set(descriptor, 20);
      this.#bins.fill(offset, cell);
    });
  }
}

/** Latin-1 where all of it fits, else UTF-16. Windows always writes the shorter form. */
function nameBytes(name: string, what: string): Buffer {
  const bytes = Buffer.from(name, isLatin1(name) ? 'latin1' : 'utf16le');
  checkedLength(bytes.length, `${what} name`);
  return bytes;
}

function checkedLength(length: number, what: string): number {
  if (length > 0xffff) throw unwritable(`A ${what} is ${length} bytes long`);
  return length;
}

function longest<T>(of: readonly T[], length: (one: T) => number, most = 0xffffffff): number {
  let max = 0;
  for (const one of of) max = Math.max(max, length(one));
  return Math.min(max, most);
}

/** Bytes of all cells but security descriptors, which are few. */
function estimate(root: HiveKey): number {
  let bytes = 0;
  const left = [root];
  for (let key = left.pop(); key; key = left.pop()) {
    bytes += cellSize(76 + key.name.length) + cellSize(4 * key.values.length) + 16 + 8 * key.subkeys.length;
    for (const { name, data } of key.values) {
      bytes += cellSize(20 + name.length) + (data.length > 4 ? cellSize(data.length) : 0);
    }
    for (const child of key.subkeys) left.push(child);
  }
  return bytes;
}

function unwritable(what: string): GodwitError {
  return new GodwitError('GW2305', what);
}
