/**
 * The kernel of a moved system, handed to the kernel that runs: it starts the other
 * one without the firmware (kexec_file_load(2)).
 */
import { closeSync, lstatSync, openSync } from 'node:fs';
import { getSystemErrorName } from 'node:util';
import koffi from 'koffi';
import { GodwitError } from '../../kernel/errors.ts';
import { placeOfContent, readText } from './inside-root.ts';
import { firstEntry } from './text/menu.ts';

const CALL = process.arch === 'arm64' ? 294 : 320;
const NO_INITRAMFS = 4;

/** What the moved system's own menu starts first. */
export interface Start {
  /** Files of this machine. */
  readonly kernel: string;
  readonly initramfs: string | undefined;
  readonly words: string;
}

/** @throws GodwitError GW2415 where its menu has no such entry, or names files that are not there */
export function startOf(root: string): Start {
  const menu = readText(root, 'boot/grub/grub.cfg');
  const entry = menu === undefined ? undefined : firstEntry(menu);
  if (entry === undefined) throw new GodwitError('GW2415', `${root}/boot/grub/grub.cfg starts no Linux`);
  if (entry.initramfs.length > 1)
    throw new GodwitError('GW2415', `The menu of ${root} starts its kernel with several initramfs`);
  const [initramfs] = entry.initramfs;
  return {
    kernel: fileOf(root, entry.kernel),
    initramfs: initramfs === undefined ? undefined : fileOf(root, initramfs),
    words: entry.words.join(' '),
  };
}

/** Where /boot has a file system of its own, its paths begin there. */
function fileOf(root: string, path: string): string {
  for (const under of [path, `boot/${path}`]) {
    const file = placeOfContent(root, under);
    if (lstatSync(file, { throwIfNoEntry: false })?.isFile()) return file;
  }
  throw new GodwitError('GW2415', `${path}, which the menu of ${root} starts with, is not there`);
}

/** @throws GodwitError GW2415 with the system's word for it */
export function loadKernel({ kernel, initramfs, words }: Start): void {
  const call = koffi
    .load(null)
    .func('int64_t syscall(int64_t, int64_t, int64_t, uint64_t, const void *, uint64_t)') as unknown as (
    ...of: readonly [number, number, number, number, Buffer, number]
  ) => number;
  const text = Buffer.from(`${words}\0`);
  const fd = openSync(kernel, 'r');
  try {
    const second = initramfs === undefined ? -1 : openSync(initramfs, 'r');
    try {
      if (call(CALL, fd, second, text.length, text, second < 0 ? NO_INITRAMFS : 0) < 0)
        throw new GodwitError('GW2415', `kexec_file_load of ${kernel}: ${getSystemErrorName(-koffi.errno())}`);
    } finally {
      if (second >= 0) closeSync(second);
    }
  } finally {
    closeSync(fd);
  }
}
