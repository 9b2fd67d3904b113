/** A hive in memory: keys, values and what belongs to the whole. Reader, writer and merge share it. */
import { sameName } from './names.ts';

/** Types of values that Windows names; any other 32-bit number is allowed too. */
export const REG = {
  none: 0,
  sz: 1,
  expandSz: 2,
  binary: 3,
  dword: 4,
  dwordBigEndian: 5,
  link: 6,
  multiSz: 7,
  resourceList: 8,
  fullResourceDescriptor: 9,
  resourceRequirementsList: 10,
  qword: 11,
} as const;

/** Flags of a key node that have a meaning here. Bit 0x20 (name is Latin-1) is the writer's business and never set. */
export const KEY = {
  volatile: 0x0001,
  root: 0x0004,
  noDelete: 0x0008,
  symlink: 0x0010,
  predefinedHandle: 0x0040,
} as const;

export interface HiveValue {
  /** Empty for the default value. */
  readonly name: string;
  readonly type: number;
  readonly data: Uint8Array;
  /** All flags but 0x1 (name is Latin-1), for example 0x2, a tombstone. */
  readonly flags: number;
}

export interface HiveKey {
  name: string;
  /** All flags but 0x20 (name is Latin-1). */
  flags: number;
  /** FILETIME: 100 ns since 1601. */
  timestamp: bigint;
  /** Access bits and, since Windows 10, the bits of layered keys: four bytes as they stand. */
  accessBits: number;
  /** Wow64 and virtualization flags and debug bits: the upper half of the longest name's field. */
  userFlags: number;
  /** UTF-16 as it stands. */
  className: Uint8Array | undefined;
  /** A self-relative security descriptor. Keys with the same bytes share one cell. */
  security: Uint8Array | undefined;
  /** With the flag `predefinedHandle` the key has this handle in place of values. */
  handle: number;
  subkeys: HiveKey[];
  values: HiveValue[];
}

export interface Hive {
  /** 3 to 6: the format is 1.3 to 1.6. */
  readonly minorVersion: number;
  /** The first 4096 bytes as they were read: names, identities and stamps that the writer carries over. */
  readonly baseBlock: Uint8Array;
  readonly root: HiveKey;
}

/** A key without anything in it. */
export function makeKey(name: string, over: Partial<HiveKey> = {}): HiveKey {
  return {
    name,
    flags: 0,
    timestamp: 0n,
    accessBits: 0,
    userFlags: 0,
    className: undefined,
    security: undefined,
    handle: 0,
    subkeys: [],
    values: [],
    ...over,
  };
}

export function subkey(key: HiveKey | undefined, name: string): HiveKey | undefined {
  return key?.subkeys.find((child) => sameName(child.name, name));
}

/** The key at a path, by names that differ at most in case. */
export function keyAt(root: HiveKey | undefined, path: readonly string[]): HiveKey | undefined {
  let key = root;
  for (const name of path) key = subkey(key, name);
  return key;
}

export function valueAt(key: HiveKey | undefined, name: string): HiveValue | undefined {
  return key?.values.find((value) => sameName(value.name, name));
}

/** A number of a REG_DWORD value, or undefined where it is none. */
export function dwordOf(key: HiveKey | undefined, name: string): number | undefined {
  const value = valueAt(key, name);
  if (value?.type !== REG.dword || value.data.length !== 4) return undefined;
  return new DataView(value.data.buffer, value.data.byteOffset, 4).getUint32(0, true);
}

/** The text of a REG_SZ or REG_EXPAND_SZ value up to its first null. */
export function textOf(key: HiveKey | undefined, name: string): string | undefined {
  const value = valueAt(key, name);
  if (value?.type !== REG.sz && value?.type !== REG.expandSz) return undefined;
  return stringsOf(value)[0] ?? '';
}

/** The texts of a REG_MULTI_SZ value, or of one that somebody wrote as REG_SZ. */
export function stringsOf({ data }: HiveValue): readonly string[] {
  const even = data.length & ~1;
  const text = Buffer.from(data.buffer, data.byteOffset, even).toString('utf16le');
  const parts = text.split('\0');
  while (parts.length > 0 && parts.at(-1) === '') parts.pop();
  return parts;
}

export function dwordValue(name: string, number: number): HiveValue {
  const data = Buffer.alloc(4);
  data.writeUInt32LE(number >>> 0);
  return { name, type: REG.dword, data, flags: 0 };
}

export function textValue(name: string, text: string, type: number = REG.sz): HiveValue {
  return { name, type, data: Buffer.from(`${text}\0`, 'utf16le'), flags: 0 };
}

export function multiTextValue(name: string, texts: readonly string[]): HiveValue {
  const data = Buffer.from(`${texts.map((text) => `${text}\0`).join('')}\0`, 'utf16le');
  return { name, type: REG.multiSz, data, flags: 0 };
}

/** Puts a value in place of the one of its name, or at the end. */
export function setValue(key: HiveKey, value: HiveValue): void {
  const at = key.values.findIndex(({ name }) => sameName(name, value.name));
  if (at < 0) key.values.push(value);
  else key.values[at] = value;
}

/** How many keys and values a tree has, itself included. */
export function countTree(key: HiveKey): { keys: number; values: number } {
  const sum = { keys: 0, values: 0 };
  const left = [key];
  for (let next = left.pop(); next; next = left.pop()) {
    sum.keys += 1;
    sum.values += next.values.length;
    for (const child of next.subkeys) left.push(child);
  }
  return sum;
}
