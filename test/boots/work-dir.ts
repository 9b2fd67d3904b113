/** Where disks are made and used: in memory where there is room, since every tool for disks waits for the medium. */
import { mkdtempSync, statfsSync } from 'node:fs';
import { freemem, tmpdir } from 'node:os';
import { join } from 'node:path';

const ROOM = 6e9;

export function makeWorkDir(): string {
  return mkdtempSync(join(hasRoom('/dev/shm') && freemem() > ROOM / 3 ? '/dev/shm' : tmpdir(), 'godwit-boots-'));
}

function hasRoom(dir: string): boolean {
  try {
    const { bavail, bsize } = statfsSync(dir);
    return bavail * bsize > ROOM;
  } catch {
    return false;
  }
}
