import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { FileVolume } from '../../src/adapters/nbd/index.ts';
import { describeVolumeContract } from './volume.ts';

describeVolumeContract('FileVolume', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'godwit-volume-'));
  const path = join(dir, 'image');
  writeFileSync(path, '');
  truncateSync(path, 40 * 1024 * 1024);
  const opened: FileVolume[] = [];
  onTestFinished(async () => {
    for (const volume of opened) await volume.close();
    rmSync(dir, { recursive: true });
  });
  const open = async () => {
    const volume = await FileVolume.open(path);
    opened.push(volume);
    return volume;
  };
  return { volume: await open(), reopened: open };
});
