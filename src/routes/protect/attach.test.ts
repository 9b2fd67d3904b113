import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { NbdClient, serveNbd } from '../../adapters/nbd/index.ts';
import type { Volume } from '../../kernel/protect/volume.ts';
import { runAttach } from './attach.ts';

const BYTES = 1 << 20;

function memory(): Volume {
  const content = Buffer.alloc(BYTES);
  return {
    size: BYTES,
    blockSizes: { least: 512, preferred: 4096, most: BYTES },
    coversAllConnections: true,
    fastZeroes: false,
    read: async (offset, into) => void content.copy(into, 0, offset),
    write: async (offset, data) => void data.copy(content, offset),
    writeZeroes: async (offset, length) => void content.fill(0, offset, offset + length),
    trim: async () => {},
    flush: async () => {},
    extents: async (_, length) => [{ length, hole: false, zero: false }],
  };
}

async function attach(command: readonly string[], during: (path: string) => Promise<void> = async () => {}) {
  const dir = mkdtempSync(join(tmpdir(), 'godwit-attach-'));
  const [server, user] = ['server', 'user'].map((name) => join(dir, name)) as [string, string];
  const served = await serveNbd({ address: { path: server }, exports: [{ name: 'v', volume: memory() }] });
  onTestFinished(async () => {
    await served.close();
    rmSync(dir, { recursive: true, force: true });
  });
  const stop = new AbortController();
  const kinds: string[] = [];
  const options = {
    volume: 'v',
    from: [{ path: join(dir, 'nobody') }, { path: server }],
    nbd: { path: user },
    graceMs: 1000,
    command,
  };
  const running = runAttach(options, {
    signal: stop.signal,
    onEvent: ({ kind }) => {
      kinds.push(kind);
      if (kind === 'serving') void during(user).then(() => stop.abort(), stop.abort);
    },
  });
  return { running, kinds };
}

test('what is written to it is at the server; a signal ends it, and the command with it', async () => {
  let back: Buffer | undefined;
  const { running, kinds } = await attach(['sleep', '1000'], async (path) => {
    const client = await NbdClient.connect({ address: { path }, exportName: 'v' });
    await client.write(4096, Buffer.alloc(512, 7), true);
    back = Buffer.alloc(512);
    await client.read(4096, back);
    await client.close();
  });
  await running;
  expect(back).toEqual(Buffer.alloc(512, 7));
  expect(kinds).toEqual(['attached', 'serving']);
});

test('it ends with its command, which may use it from its first moment on', async () => {
  const never = () => new Promise<void>(() => {});
  const well = await attach(['sh', '-c', 'test -n "$HOME"'], never);
  await well.running;
  const badly = await attach(['sh', '-c', 'exit 3'], never);
  await expect(badly.running).rejects.toMatchObject({ code: 'GW1001', message: 'The command ended with 3' });
  const nothing = await attach(['/no/such/program'], never);
  await expect(nothing.running).rejects.toMatchObject({ code: 'GW1001', message: /could not be started/ });
});
