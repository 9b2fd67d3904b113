import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { glibcNeeds, hashOf, isOlder } from './contents.ts';
import { type Packed, unpack } from './unpack.ts';

const FILES = new Map([
  ['start.cjs', Buffer.from('start')],
  ['node_modules/a/a.node', Buffer.from([0x7f, 0x45, 0x4c, 0x46])],
]);
const packed: Packed = {
  hash: hashOf(FILES),
  files: [...FILES.keys()],
  read: (name) => FILES.get(name) ?? Buffer.alloc(0),
};
let dir = '';
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'godwit-unpack-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

test('the files lie in a folder of our own that is used again', () => {
  const base = join(dir, 'cache', 'godwit');
  const at = unpack(base, packed);
  expect(statSync(at).mode & 0o777).toBe(0o700);
  expect(readFileSync(join(at, 'node_modules/a/a.node'))).toEqual(FILES.get('node_modules/a/a.node'));
  const { ino } = statSync(at);
  expect(statSync(unpack(base, packed)).ino).toBe(ino);
});

test('what was changed or cut short since is written anew, and nothing is left over', () => {
  const base = join(dir, 'godwit');
  const at = unpack(base, packed);
  for (const broken of ['evil', '']) {
    writeFileSync(join(at, 'start.cjs'), broken);
    expect(unpack(base, packed)).toBe(at);
    expect(readFileSync(join(at, 'start.cjs'), 'utf8')).toBe('start');
  }
  rmSync(join(at, 'node_modules'), { recursive: true });
  unpack(base, packed);
  expect(readdirSync(join(at, 'node_modules/a'))).toEqual(['a.node']);
  expect(readdirSync(base)).toEqual([packed.hash]);
});

test('nothing is loaded from a folder that others may change', () => {
  const open = join(dir, 'open');
  mkdirSync(open);
  chmodSync(open, 0o770);
  expect(() => unpack(open, packed)).toThrow('only this user may open');
  mkdirSync(join(dir, 'mine'), { mode: 0o700 });
  symlinkSync(join(dir, 'mine'), join(dir, 'link'));
  expect(() => unpack(join(dir, 'link'), packed)).toThrow('only this user may open');
  const base = join(dir, 'godwit');
  chmodSync(unpack(base, packed), 0o777);
  expect(() => unpack(base, packed)).toThrow('only this user may open');
});

test('a folder that cannot be made is told of as such', () => {
  writeFileSync(join(dir, 'file'), '');
  expect(() => unpack(join(dir, 'file', 'godwit'), packed)).toThrow(expect.objectContaining({ code: 'GW2407' }));
});

test('versions of the C library are numbers, and the newest that is asked for counts', () => {
  expect(isOlder('2.9', '2.28')).toBe(true);
  expect(isOlder('2.28', '2.28')).toBe(false);
  expect(isOlder('3.0', '2.28')).toBe(false);
  expect(glibcNeeds(Buffer.from('\0GLIBC_2.4\0GLIBC_2.28\0GLIBC_2.3.4\0GLIBC_PRIVATE\0'))).toBe('2.28');
});

test('another content has another name', () => {
  expect(hashOf(new Map([['a', Buffer.from('bc')]]))).not.toBe(hashOf(new Map([['ab', Buffer.from('c')]])));
});
