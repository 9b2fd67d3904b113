/** Three roles with real files and connections: the images compared while both live, and the DR's rewound. */
import { closeSync, existsSync, mkdtempSync, openSync, readFileSync, readSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, onTestFinished, test } from 'vitest';
import { NbdClient } from '../../src/adapters/nbd/index.ts';
import { runProgram } from '../../src/cli/program.ts';
import {
  type DrStatus,
  type PrimaryStatus,
  type RewindResult,
  runAuxiliary,
  runDr,
  runPrimary,
  status,
  type VerifyResult,
} from '../../src/routes/protect/index.ts';
import { pickFreePort } from '../servers/ports.ts';
import { waitFor } from '../servers/wait-for.ts';
import { BLOCK, stamp } from './ledger.ts';

const BLOCKS = 4096;
const CHUNK = 256 * 1024;
const never = new AbortController().signal;

async function start(rewind: number | undefined) {
  const dir = mkdtempSync(join(tmpdir(), 'godwit-verify-'));
  const [near, far] = [await pickFreePort(), await pickFreePort()];
  const stop = new AbortController();
  const ends: Promise<void>[] = [];
  const hooks = (signal: AbortSignal) => ({ signal, onEvent: () => undefined });
  const shared = (name: string) => ({
    ...{ volume: 'v', size: BLOCKS * BLOCK, ring: 16 << 20, leaseMs: 1000, state: join(dir, name), key: undefined },
    ...{ metrics: undefined, replace: false, create: !existsSync(join(dir, name, 'state')) },
  });
  const at = (port: number) => ({ host: '127.0.0.1', port });
  const startDr = (signal: AbortSignal) => {
    const own = {
      image: join(dir, 'dr.img'),
      listen: at(far),
      auxiliary: at(near),
      nbd: { path: join(dir, 'dr.sock') },
    };
    const end = runDr({ ...shared('dr'), ...own, rewind }, hooks(signal));
    ends.push(end);
    return end;
  };
  ends.push(runAuxiliary({ ...shared('auxiliary'), listen: at(near), area: undefined }, hooks(stop.signal)));
  const drStop = new AbortController();
  const dr = startDr(drStop.signal);
  const primary = {
    ...{ image: join(dir, 'primary.img'), nbd: { path: join(dir, 'primary.sock') }, auxiliary: at(near), dr: at(far) },
    ...{ policy: 'zero' as const, sharing: 'lane' as const, patienceMs: undefined },
  };
  ends.push(runPrimary({ ...shared('primary'), ...primary }, hooks(stop.signal)));
  for (const end of ends) end.catch(() => undefined);
  onTestFinished(async () => {
    stop.abort();
    drStop.abort();
    await Promise.allSettled(ends);
    rmSync(dir, { recursive: true, force: true });
  });
  const ask = async <T>(name: string) => (await status(join(dir, name), never).catch(() => undefined)) as T | undefined;
  await waitFor(async () => (await ask<PrimaryStatus>('primary'))?.mode === 'full', {
    ...{ timeoutMs: 30_000, what: 'the primary to lead' },
  });
  const client = await NbdClient.connect({ address: { path: join(dir, 'primary.sock') }, exportName: 'v' });
  /** Everything is executed at the DR. */
  const level = () =>
    waitFor(
      async () => {
        const [one, other] = [await ask<PrimaryStatus>('primary'), await ask<DrStatus>('dr')];
        return one !== undefined && one.last === other?.base;
      },
      { timeoutMs: 30_000, what: 'the DR to be level' },
    );
  const restartDr = async () => {
    drStop.abort();
    await dr;
    startDr(stop.signal);
    await waitFor(async () => (await ask('dr')) !== undefined, { timeoutMs: 30_000, what: 'the DR' });
  };
  return { dir, client, ask, level, restartDr };
}

async function godwit<T>(...words: readonly string[]): Promise<{ readonly code: number; readonly out: T }> {
  let out = '';
  const code = await command(words, never, (text) => {
    out += text;
  });
  return { code, out: JSON.parse(out) as T };
}

function command(words: readonly string[], signal: AbortSignal, say: (text: string) => void): Promise<number> {
  return runProgram(['protect', ...words, '--json'], {
    io: {
      ...{ out: say, err: say },
      ...{ env: {}, isTerminal: false, isErrTerminal: false, size: () => ({ columns: 80, rows: 24 }) },
    },
    ...{ signal, version: '1' },
    loadProtect: () => import('../../src/routes/protect/index.ts'),
    loadMigrate: () => Promise.reject(new Error('another route')),
    loadRemodel: () => Promise.reject(new Error('another route')),
    loadAdapt: () => Promise.reject(new Error('another route')),
    loadRegistry: () => Promise.reject(new Error('another route')),
    loadRelocate: () => Promise.reject(new Error('another route')),
    loadRehearse: () => Promise.reject(new Error('another route')),
  });
}

/** Bends one byte of a file by hand, as a rotting disk does. */
function bend(path: string, at: number): void {
  const fd = openSync(path, 'r+');
  const byte = Buffer.alloc(1);
  readSync(fd, byte, 0, 1, at);
  byte[0] = (byte[0] as number) ^ 0x10;
  writeSync(fd, byte, 0, 1, at);
  closeSync(fd);
}

/** Writes until it is ended, to the first blocks only. */
function load(client: NbdClient, blocks: number): { readonly end: () => Promise<number> } {
  let isOver = false;
  let written = 0;
  const work = async (first: number) => {
    for (let version = 1; !isOver; version += 1) {
      await client.write((first + (version % 7) * 4) * BLOCK, stamp(first, version), false);
      written += 1;
    }
  };
  const workers = Array.from({ length: 4 }, (_, i) => work(i * Math.floor(blocks / 8)));
  return {
    end: async () => {
      isOver = true;
      await Promise.all(workers);
      return written;
    },
  };
}

test('verify finds equal under load; finds and names a byte that was bent by hand; mends it and proves that', async () => {
  const { dir, client, level } = await start(undefined);
  for (let block = 0; block < BLOCKS; block += 16) await client.write(block * BLOCK, stamp(block, 1), false);
  await level();
  const verify = (...words: readonly string[]) =>
    godwit<VerifyResult>('verify', '--state', join(dir, 'primary'), ...words);
  const writers = load(client, 256);
  const first = await verify();
  expect(first).toMatchObject({ code: 0, out: { differing: [], mended: [], bytes: BLOCKS * BLOCK } });
  const image = join(dir, 'dr.img');
  const places = [20 * CHUNK + 5, 33 * CHUNK + CHUNK - 1];
  for (const place of places) bend(image, place);
  const second = await verify();
  expect(second.code).toBe(6);
  expect(second.out.differing).toEqual([
    { number: 20, offset: 20 * CHUNK, length: CHUNK },
    { number: 33, offset: 33 * CHUNK, length: CHUNK },
  ]);
  const third = await verify('--mend');
  expect(third).toMatchObject({ code: 0, out: { differing: [], mended: [{ number: 20 }, { number: 33 }] } });
  const fourth = await verify();
  expect(await writers.end()).toBeGreaterThan(10);
  expect(fourth).toMatchObject({ code: 0, out: { differing: [] } });
  await level();
  expect(readFileSync(image).equals(readFileSync(join(dir, 'primary.img')))).toBe(true);
  await client.close();
  const asked = await godwit<{ error: { code: string } }>('verify', '--state', join(dir, 'dr'));
  expect(asked.out).toMatchObject({ error: { code: 'GW1004' } });
});

test('the volume of an earlier moment is written to a file, by operation and by time, after a restart of the DR too; its image stays', async () => {
  const { dir, client, ask, level, restartDr } = await start(32 << 20);
  for (let block = 0; block < 256; block += 1) await client.write(block * BLOCK, stamp(block, 1), false);
  await level();
  const sequence = (await ask<DrStatus>('dr'))?.base ?? 0;
  const before = readFileSync(join(dir, 'dr.img'));
  await sleep(20);
  const time = new Date().toISOString();
  await sleep(20);
  // What somebody does that must be undone.
  await client.writeZeroes(0, 200 * BLOCK, { durable: true, mayTrim: true });
  for (let block = 100; block < 300; block += 1) await client.write(block * BLOCK, stamp(block, 2), false);
  await level();
  const state = join(dir, 'dr');
  const writers = load(client, 256);
  const rewind = (file: string, ...words: readonly string[]) =>
    godwit<RewindResult>('rewind', '--state', state, '--into', join(dir, file), ...words);
  const one = await rewind('one.img', '--sequence', String(sequence));
  expect(one).toMatchObject({ code: 0, out: { moment: { sequence } } });
  expect(one.out.undone.operations).toBeGreaterThan(200);
  expect(readFileSync(join(dir, 'one.img')).equals(before)).toBe(true);
  await writers.end();
  await level();
  await restartDr();
  const two = await rewind('two.img', '--at', time);
  expect(two).toMatchObject({ code: 0, out: { moment: { sequence } } });
  expect(readFileSync(join(dir, 'two.img')).equals(before)).toBe(true);
  const refused = await rewind('two.img', '--at', time);
  expect(refused).toMatchObject({ code: 2, out: { error: { code: 'GW1001' } } });
  const late = await rewind('three.img', '--at', '2001-01-01T00:00:00Z');
  expect(late).toMatchObject({ code: 7, out: { error: { code: 'GW7020' } } });
  expect(existsSync(join(dir, 'three.img'))).toBe(false);
  // Served for reading, and for nothing else.
  const stop = new AbortController();
  let spoken = '';
  const [three, socket] = [join(dir, 'three.img'), join(dir, 'three.sock')];
  const words = ['rewind', '--state', state, '--into', three, '--at', time, '--nbd', `unix:${socket}`, '--json'];
  const served = command(words, stop.signal, (text) => {
    spoken += text;
  });
  await waitFor(() => spoken.includes('"serving"'), { timeoutMs: 30_000, what: 'the copy to be served' });
  const reader = await NbdClient.connect({ address: { path: socket }, exportName: 'v' });
  const content = Buffer.alloc(BLOCK);
  await reader.read(150 * BLOCK, content);
  expect(content.equals(stamp(150, 1))).toBe(true);
  await expect(reader.write(0, content, false)).rejects.toThrow();
  await reader.close();
  stop.abort();
  expect(await served).toBe(0);
  const { rewind: said } = (await ask<DrStatus>('dr')) as DrStatus;
  expect(said?.reach?.from.sequence).toBeLessThanOrEqual(sequence);
  // The DR's own image is the newest volume.
  await level();
  expect(readFileSync(join(dir, 'dr.img')).equals(readFileSync(join(dir, 'primary.img')))).toBe(true);
  await client.close();
});
