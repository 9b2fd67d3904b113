/**
 * The reader: bytes of a clean primary file to a tree. Written from "Windows
 * registry file format specification" (github.com/msuhanov/regf) and libregf's
 * format documentation. Values are views of the bytes given: keep those as
 * long as the tree.
 */
import { GodwitError } from '../../kernel/errors.ts';
import { BASE_BLOCK, isDirty, readBaseBlock } from './base-block.ts';
import { Cells, NOWHERE } from './cells.ts';
import { damaged, hex } from './errors.ts';
import { sameName, upperName } from './names.ts';
import { type Hive, type HiveKey, type HiveValue, KEY } from './tree.ts';

/** The most that one cell or segment holds before data is split up (format 1.4 and newer). */
export const SEGMENT = 16344;
/** Windows allows no deeper tree. */
export const DEEPEST = 512;
const LATIN1_KEY = 0x20;
const LATIN1_VALUE = 0x1;
const INLINE = 0x80000000;

export interface ReadOptions {
  /** Read only this key with all below it, and the way to it: of a large hive, one corner. */
  readonly only?: readonly string[];
}

/** Reads a clean hive. GW2301: no hive; GW2303: dirty, see `openHive`; GW2302: damaged. */
export function readHive(bytes: Buffer, options: ReadOptions = {}): Hive {
  const base = readBaseBlock(bytes);
  if (isDirty(base)) throw new GodwitError('GW2303', 'The hive was not closed cleanly, and no log was applied to it');
  if (base.fileType !== 0) throw new GodwitError('GW2301', 'This is the log of a hive, not the hive');
  const end = BASE_BLOCK + base.binsSize;
  if (base.binsSize === 0 || end > bytes.length) {
    throw damaged('The hive is shorter than it says', { says: end, length: bytes.length });
  }
  const reader = new TreeReader(new Cells(bytes.subarray(BASE_BLOCK, end)), base.minorVersion);
  const root = reader.readKey(base.rootCell, options.only ?? [], 0);
  return { minorVersion: base.minorVersion, baseBlock: bytes.subarray(0, BASE_BLOCK), root };
}

class TreeReader {
  readonly #cells: Cells;
  readonly #hasBigData: boolean;
  /** Security descriptors are the one thing that cells share. */
  readonly #security = new Map<number, Uint8Array>();

  constructor(cells: Cells, minorVersion: number) {
    this.#cells = cells;
    this.#hasBigData = minorVersion > 3;
  }

  readKey(offset: number, only: readonly string[], depth: number): HiveKey {
    return this.#keyOf(this.#nodeAt(offset), only, depth);
  }

  #nodeAt(offset: number): Node {
    const cell = this.#cells.take(offset, 'A key');
    if (cell.length < 76 || cell.readUInt16LE(0) !== 0x6b6e) throw damaged(`The cell at ${hex(offset)} is no key`);
    const flags = cell.readUInt16LE(2);
    const name = readName(cell, 76, cell.readUInt16LE(72), (flags & LATIN1_KEY) !== 0);
    return { cell, flags, name, offset };
  }

  #keyOf({ cell, flags, name, offset }: Node, only: readonly string[], depth: number): HiveKey {
    if (depth > DEEPEST) throw damaged(`The key at ${hex(offset)} is deeper than ${DEEPEST} levels`);
    const isOnTheWay = only.length > 0;
    const isHandle = (flags & KEY.predefinedHandle) !== 0;
    const valueCount = cell.readUInt32LE(36);
    return {
      name,
      flags: depth === 0 ? (flags & ~LATIN1_KEY) | KEY.root : flags & ~(LATIN1_KEY | KEY.root),
      timestamp: cell.readBigUInt64LE(4),
      accessBits: cell.readUInt32LE(12),
      userFlags: cell.readUInt16LE(54),
      className: this.#className(cell),
      security: this.#securityAt(cell.readUInt32LE(44)),
      handle: isHandle ? valueCount : 0,
      // Volatile subkeys live in memory only; their count and list mean nothing in a file.
      subkeys: this.#subkeys(cell.readUInt32LE(28), cell.readUInt32LE(20), only, depth),
      values: isHandle || isOnTheWay ? [] : this.#values(cell.readUInt32LE(40), valueCount),
    };
  }

  #className(cell: Buffer): Uint8Array | undefined {
    const length = cell.readUInt16LE(74);
    const offset = cell.readUInt32LE(48);
    if (length === 0 || offset === NOWHERE) return undefined;
    const text = this.#cells.take(offset, 'A class name');
    if (text.length < length) throw damaged(`The class name at ${hex(offset)} is longer than its cell`);
    return text.subarray(0, length);
  }

  #securityAt(offset: number): Uint8Array | undefined {
    if (offset === NOWHERE) return undefined;
    const known = this.#security.get(offset);
    if (known) return known;
    const cell = this.#cells.take(offset, 'A security descriptor');
    if (cell.length < 20 || cell.readUInt16LE(0) !== 0x6b73 || cell.readUInt32LE(16) > cell.length - 20) {
      throw damaged(`The cell at ${hex(offset)} is no security descriptor`);
    }
    const descriptor = cell.subarray(20, 20 + cell.readUInt32LE(16));
    this.#security.set(offset, descriptor);
    return descriptor;
  }

  #subkeys(list: number, count: number, only: readonly string[], depth: number): HiveKey[] {
    const [wanted, ...below] = only;
    if (count === 0) return [];
    const offsets = this.#listed(list, true);
    if (offsets.length !== count) {
      throw damaged(`The list of subkeys at ${hex(list)} has ${offsets.length} of ${count}`);
    }
    const keys: HiveKey[] = [];
    const names = new Set<string>();
    for (const offset of offsets) {
      const node = this.#nodeAt(offset);
      const upper = upperName(node.name);
      if (names.has(upper)) throw damaged(`Two subkeys have the name ${JSON.stringify(node.name)}`);
      names.add(upper);
      if (wanted === undefined || sameName(node.name, wanted)) keys.push(this.#keyOf(node, below, depth + 1));
    }
    return keys;
  }

  /** Offsets of the keys in a list, or in the lists of an index root, which cannot hold another. */
  #listed(list: number, mayBeRoot: boolean): number[] {
    const cell = this.#cells.take(list, 'A list of subkeys');
    const signature = cell.toString('latin1', 0, 2);
    const count = cell.readUInt16LE(2);
    const width = signature === 'lf' || signature === 'lh' ? 8 : signature === 'li' || signature === 'ri' ? 4 : 0;
    if (width === 0 || (signature === 'ri' && !mayBeRoot) || 4 + count * width > cell.length) {
      throw damaged(`The cell at ${hex(list)} is no list of subkeys`);
    }
    const offsets: number[] = [];
    for (let index = 0; index < count; index += 1) {
      const offset = cell.readUInt32LE(4 + index * width);
      if (signature !== 'ri') offsets.push(offset);
      else for (const below of this.#listed(offset, false)) offsets.push(below);
    }
    return offsets;
  }

  #values(list: number, count: number): HiveValue[] {
    if (count === 0) return [];
    const cell = this.#cells.take(list, 'A list of values');
    if (count > cell.length / 4) throw damaged(`The list of values at ${hex(list)} is longer than its cell`);
    const values: HiveValue[] = [];
    const names = new Set<string>();
    for (let index = 0; index < count; index += 1) {
      const value = this.#valueAt(cell.readUInt32LE(4 * index));
      const upper = upperName(value.name);
      if (names.has(upper)) throw damaged(`Two values have the name ${JSON.stringify(value.name)}`);
      names.add(upper);
      values.push(value);
    }
    return values;
  }

  #valueAt(offset: number): HiveValue {
    const cell = this.#cells.take(offset, 'A value');
    if (cell.length < 20 || cell.readUInt16LE(0) !== 0x6b76) throw damaged(`The cell at ${hex(offset)} is no value`);
    const flags = cell.readUInt16LE(16);
    return {
      name: readName(cell, 20, cell.readUInt16LE(2), (flags & LATIN1_VALUE) !== 0),
      type: cell.readUInt32LE(12),
      data: this.#data(cell),
      flags: flags & ~LATIN1_VALUE,
    };
  }

  #data(value: Buffer): Uint8Array {
    const size = value.readUInt32LE(4);
    if (size >= INLINE) {
      if (size - INLINE > 4) throw damaged('A value has more than four bytes in place of their offset');
      return value.subarray(8, 8 + (size - INLINE));
    }
    if (size === 0) return value.subarray(0, 0);
    const offset = value.readUInt32LE(8);
    const cell = this.#cells.take(offset, 'The data of a value');
    // Some writers put large data into one cell although the format has segments for it.
    if (cell.length >= size) return cell.subarray(0, size);
    if (this.#hasBigData && size > SEGMENT && cell.readUInt16LE(0) === 0x6264) return this.#segments(cell, size);
    throw damaged(`The data at ${hex(offset)} is shorter than the ${size} bytes of its value`);
  }

  #segments(header: Buffer, size: number): Uint8Array {
    const count = header.readUInt16LE(2);
    const list = header.length < 8 ? undefined : this.#cells.take(header.readUInt32LE(4), 'A list of segments');
    if (list === undefined || count !== Math.ceil(size / SEGMENT) || count * 4 > list.length) {
      throw damaged(`Data of ${size} bytes is said to have ${count} segments`);
    }
    const parts: Buffer[] = [];
    for (let index = 0; index < count; index += 1) {
      const length = Math.min(SEGMENT, size - index * SEGMENT);
      const part = this.#cells.take(list.readUInt32LE(4 * index), 'A segment');
      if (part.length < length) throw damaged('A segment is shorter than it must be');
      parts.push(part.subarray(0, length));
    }
    return Buffer.concat(parts, size);
  }
}

interface Node {
  readonly cell: Buffer;
  readonly flags: number;
  readonly name: string;
  readonly offset: number;
}

function readName(cell: Buffer, at: number, length: number, isLatin1: boolean): string {
  if (at + length > cell.length) throw damaged('A name is longer than its cell');
  if (isLatin1) return cell.toString('latin1', at, at + length);
  if (length % 2 !== 0) throw damaged('A UTF-16 name has an odd number of bytes');
  return cell.toString('utf16le', at, at + length);
}
