import { createHash } from 'node:crypto';
import { expect, test } from 'vitest';
import { describe } from './describe.ts';
import { OP } from './operation.ts';
import { Packer } from './packer.ts';

/** Mode, owner, times, flags, and one attribute. */
function packMetadata(to: Packer): void {
  to.u16(0o100644);
  for (const _ of 'ug') to.u32(1);
  for (const _ of 'am') {
    to.long(1);
    to.u32(2);
  }
  to.u32(0);
  to.u16(1);
  to.text('user.kept');
  to.blob(Buffer.from('value'));
}

/** What follows the type of each operation, as packed by a round. */
const PACKED: Readonly<Record<keyof typeof OP, (to: Packer) => void>> = {
  cd: (to) => {
    to.u16(1);
    to.text('d');
  },
  enter: (to) => to.text('sub'),
  leave: packMetadata,
  file: (to) => {
    to.text('small');
    packMetadata(to);
    to.blob(Buffer.from('content'));
  },
  begin: (to) => {
    to.text('large');
    packMetadata(to);
    to.long(2 ** 40);
  },
  data: (to) => {
    to.text('large');
    to.long(2 ** 33);
    to.blob(Buffer.from('piece'));
  },
  change: (to) => {
    to.text('large');
    to.long(7);
  },
  hole: (to) => {
    to.text('large');
    to.long(4096);
    to.long(8192);
  },
  end: (to) => {
    to.text('large');
    packMetadata(to);
  },
  symlink: (to) => {
    to.text('link');
    packMetadata(to);
    to.text('../elsewhere');
  },
  node: (to) => {
    to.text('fifo');
    packMetadata(to);
    to.u32(1);
    to.u32(2);
  },
  link: (to) => {
    to.text('second');
    to.u16(0);
    to.text('d/first');
  },
  remove: (to) => to.text('gone'),
  lock: (to) => {
    to.u16(0);
    to.text('d/locked');
    to.u32(0x10);
  },
};

const sha256 = (text: string) => createHash('sha256').update(text).digest('hex');

test('every operation of a bundle is one record, with its place and the hash of its content', () => {
  const packer = new Packer(4096);
  for (const [name, op] of Object.entries(OP)) {
    packer.u8(op);
    PACKED[name as keyof typeof OP](packer);
  }
  const [mapping, inSub] = [1, (name: string) => `d/sub/${name}`];
  expect([...describe(packer.bytes)]).toEqual([
    { type: 'enter', mapping, path: 'd/sub' },
    { type: 'leave', mapping, path: 'd/sub' },
    { type: 'file', mapping, path: inSub('small'), offset: 0, length: 7, sha256: sha256('content') },
    { type: 'begin', mapping, path: inSub('large'), length: 2 ** 40 },
    { type: 'data', mapping, path: inSub('large'), offset: 2 ** 33, length: 5, sha256: sha256('piece') },
    { type: 'change', mapping, path: inSub('large'), length: 7 },
    { type: 'hole', mapping, path: inSub('large'), offset: 4096, length: 8192 },
    { type: 'end', mapping, path: inSub('large') },
    { type: 'symlink', mapping, path: inSub('link'), to: '../elsewhere' },
    { type: 'node', mapping, path: inSub('fifo') },
    { type: 'link', mapping, path: inSub('second'), to: 'd/first' },
    { type: 'remove', mapping, path: inSub('gone') },
    { type: 'lock', mapping: 0, path: 'd/locked' },
  ]);
});

test('an operation that nobody knows is no record', () => {
  expect(() => [...describe(Buffer.from([200]))]).toThrow(/not known/);
});
