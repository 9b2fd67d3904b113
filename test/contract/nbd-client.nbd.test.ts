import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { FileVolume, NbdClient, serveNbd } from '../../src/adapters/nbd/index.ts';
import { findBlockTool } from '../servers/block-tools.ts';
import { ProcessGuard } from '../servers/process-guard.ts';
import { ServerProcess } from '../servers/server-process.ts';
import { describeVolumeContract } from './volume.ts';

const SIZE = 40 * 1024 * 1024;

function imageDir(): { dir: string; image: string; socket: string } {
  const dir = mkdtempSync(join(tmpdir(), 'godwit-volume-'));
  const image = join(dir, 'image');
  writeFileSync(image, '');
  truncateSync(image, SIZE);
  return { dir, image, socket: join(dir, 'socket') };
}

/** What a file holds after its server is gone is what a flush promises at least. */
function reopen(image: string): () => Promise<FileVolume> {
  return async () => {
    const volume = await FileVolume.open(image);
    onTestFinished(() => volume.close());
    return volume;
  };
}

describeVolumeContract('NbdClient of our server', async () => {
  const { dir, image, socket } = imageDir();
  const file = await FileVolume.open(image);
  const server = await serveNbd({ address: { path: socket }, exports: [{ name: 'it', volume: file }] });
  const volume = await NbdClient.connect({ address: { path: socket }, exportName: 'it' });
  onTestFinished(async () => {
    await volume.close();
    await server.close();
    await file.close();
    rmSync(dir, { recursive: true });
  });
  return { volume, reopened: reopen(image) };
});

describeVolumeContract('NbdClient of nbdkit', async () => {
  const { dir, image, socket } = imageDir();
  const guard = new ProcessGuard(dir);
  const server = new ServerProcess({
    name: 'nbdkit',
    file: await findBlockTool('nbdkit'),
    args: ['--foreground', '--unix', socket, 'file', image],
    logPath: join(dir, 'nbdkit.log'),
    guard,
  });
  const connect = () => NbdClient.connect({ address: { path: socket }, exportName: '' });
  await server.start(async () => {
    const probe = await connect();
    await probe.close();
    return true;
  });
  const volume = await connect();
  onTestFinished(async () => {
    await volume.close();
    await server.end('SIGTERM');
    await guard.close();
  });
  return { volume, reopened: reopen(image) };
});
