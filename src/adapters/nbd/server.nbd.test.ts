/** The life of connections: limits, ends, TLS that is not what it seems. */
import { fork } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createConnection, createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { Peer } from '../../../test/nbd/peer.ts';
import { encode, option, READ, text, u16, u32, WRITE } from '../../../test/nbd/words.ts';
import { createCertificates } from '../../../test/servers/certificates.ts';
import { waitFor } from '../../../test/servers/wait-for.ts';
import type { Volume } from '../../kernel/protect/volume.ts';
import { NbdClient } from './client.ts';
import { FileVolume } from './file-volume.ts';
import { type NbdServer, type NbdServerOptions, serveNbd } from './server.ts';

const MIB = 1 << 20;

function workDir(): string {
  const dir = mkdtempSync(join(tmpdir(), 'godwit-nbd-'));
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

interface World {
  readonly path: string;
  readonly file: FileVolume;
  readonly server: NbdServer;
}

async function serve(
  around: (file: FileVolume) => Volume = (file) => file,
  options: Partial<NbdServerOptions> = {},
): Promise<World> {
  const dir = workDir();
  writeFileSync(join(dir, 'image'), Buffer.alloc(8 * MIB, 1));
  const file = await FileVolume.open(join(dir, 'image'));
  const path = join(dir, 'socket');
  const server = await serveNbd({ address: { path }, exports: [{ name: '', volume: around(file) }], ...options });
  onTestFinished(async () => {
    await server.close(50);
    await file.close();
  });
  return { path, file, server };
}

/** A volume whose writes wait until they are let go. */
function held(file: FileVolume): { volume: Volume; writes: (() => void)[] } {
  const writes: (() => void)[] = [];
  const volume: Volume = {
    size: file.size,
    blockSizes: file.blockSizes,
    coversAllConnections: true,
    fastZeroes: false,
    read: (offset, into) => file.read(offset, into),
    write: async (offset, data, durable) => {
      await new Promise<void>((resolve) => writes.push(resolve));
      await file.write(offset, data, durable);
    },
    writeZeroes: (offset, length, how) => file.writeZeroes(offset, length, how),
    trim: (offset, length, durable) => file.trim(offset, length, durable),
    flush: () => file.flush(),
    extents: (offset, length) => file.extents(offset, length),
  };
  return { volume, writes };
}

/** In transmission, with simple replies. */
async function raw(path: string): Promise<Peer> {
  const peer = await Peer.connect(path);
  await peer.read(18);
  peer.send(u32(3));
  peer.send(option(1, Buffer.alloc(0)));
  await peer.read(10);
  return peer;
}

const write = (cookie: bigint, offset: bigint, payload: Buffer) =>
  encode({ type: WRITE, flags: 0, cookie, offset, length: payload.length, payload });

test('a shutdown finishes what is under way, refuses what comes, and hangs up', async () => {
  let writes: (() => void)[] = [];
  const { path, file, server } = await serve((each) => {
    const made = held(each);
    writes = made.writes;
    return made.volume;
  });
  const peer = await raw(path);
  const idle = await NbdClient.connect({ address: { path }, exportName: '' });
  peer.send(write(1n, 0n, Buffer.alloc(4096, 7)));
  await waitFor(() => writes.length === 1, { timeoutMs: 5_000, what: 'the write to begin' });
  const closing = server.close();
  await idle.closed; // nothing was under way there
  peer.send(write(2n, 4096n, Buffer.alloc(4096, 8)));
  const refusal = await peer.read(16);
  expect([refusal!.readUInt32BE(4), refusal!.readBigUInt64BE(8)]).toEqual([108, 2n]);
  writes[0]!();
  const reply = await peer.read(16);
  expect([reply!.readUInt32BE(4), reply!.readBigUInt64BE(8)]).toEqual([0, 1n]);
  expect(await peer.untilClosed()).toBe(0);
  peer.destroy();
  await closing;
  const into = Buffer.alloc(8192);
  await file.read(0, into);
  expect(into.equals(Buffer.concat([Buffer.alloc(4096, 7), Buffer.alloc(4096, 1)]))).toBe(true);
  await expect(NbdClient.connect({ address: { path }, exportName: '' })).rejects.toMatchObject({ code: 'GW3001' });
});

test('what succeeded is told when the volume says that it may be, and failures at once', async () => {
  let may: 'now' | 'later' | 'never' = 'later';
  let written = 0;
  const { path } = await serve((file) => ({
    ...held(file).volume,
    mayTell: () => may,
    write: async () => {
      written += 1;
      if (written === 2) throw new Error('no');
    },
  }));
  const peer = await raw(path);
  const next = async () => {
    const reply = (await peer.read(16)) as Buffer;
    return [reply.readUInt32BE(4), reply.readBigUInt64BE(8)];
  };
  peer.send(write(1n, 0n, Buffer.alloc(4096, 7)));
  await waitFor(() => written === 1, { timeoutMs: 5_000, what: 'the first write to be done' });
  peer.send(write(2n, 0n, Buffer.alloc(4096, 7)));
  expect(await next()).toEqual([5, 2n]);
  may = 'now';
  expect(await next()).toEqual([0, 1n]);
  may = 'later';
  peer.send(write(3n, 0n, Buffer.alloc(4096, 7)));
  await waitFor(() => written === 3, { timeoutMs: 5_000, what: 'the write to be done' });
  may = 'never';
  expect(await peer.untilClosed()).toBe(0);
  peer.destroy();
});

test('a client that takes no replies is not read any more, and costs bounded memory', async () => {
  const limits = { requests: 64, bytes: 2 * MIB };
  let reads = 0;
  const { path, server } = await serve(
    (file) => {
      const { volume } = held(file);
      return {
        ...volume,
        read: (offset: number, into: Buffer) => {
          reads += 1;
          return file.read(offset, into);
        },
      };
    },
    { limits },
  );
  const socket = createConnection({ path });
  onTestFinished(() => {
    socket.destroy();
  });
  socket.pause();
  socket.write(u32(3));
  socket.write(option(1, Buffer.alloc(0)));
  const request = encode({ type: READ, flags: 0, cookie: 1n, offset: 0n, length: 256 * 1024 });
  for (let i = 0; i < 4000; i++) socket.write(request);
  await waitFor(() => reads > 0, { timeoutMs: 5_000, what: 'the first read' });
  // It stands still: nothing more is read from the volume, however long one looks.
  let seen = -1;
  await waitFor(
    () => {
      const still = reads === seen;
      seen = reads;
      return still;
    },
    { timeoutMs: 10_000, what: 'the server to stop reading', intervalMs: 300 },
  );
  expect(reads).toBeLessThan(64);
  expect(server.connections).toBe(1);
  let bytes = 0;
  socket.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
  });
  socket.resume();
  const all = 18 + 10 + 4000 * (16 + 256 * 1024);
  await waitFor(() => bytes === all, { timeoutMs: 60_000, what: 'all replies' });
});

test('a flush covers what was replied to on another connection', async () => {
  const { path, file } = await serve();
  const [one, two] = await Promise.all([1, 2].map(() => NbdClient.connect({ address: { path }, exportName: '' })));
  expect(one!.coversAllConnections).toBe(true);
  await one!.write(0, Buffer.alloc(4096, 5), false);
  const before = file.syncs;
  await two!.flush();
  expect(file.syncs).toBe(before + 1);
  await Promise.all([one!.close(), two!.close()]);
});

test('flushes that come together share an fdatasync', async () => {
  const { path, file } = await serve();
  const client = await NbdClient.connect({ address: { path }, exportName: '' });
  await Promise.all(Array.from({ length: 200 }, (_, i) => client.write(i * 4096, Buffer.alloc(4096, i), true)));
  expect(file.syncs).toBeLessThan(100);
  await client.close();
});

test('a socket left by a server that was killed is taken over; one that lives is not', async () => {
  const dir = workDir();
  const path = join(dir, 'socket');
  const script = join(dir, 'holder.cjs');
  writeFileSync(script, `require('node:net').createServer().listen(process.argv[2], () => process.send('up'))`);
  const holder = fork(script, [path]);
  await new Promise((resolve) => holder.once('message', resolve));
  writeFileSync(join(dir, 'image'), Buffer.alloc(MIB));
  await using volume = await FileVolume.open(join(dir, 'image'));
  const exports = [{ name: '', volume }];
  await expect(serveNbd({ address: { path }, exports })).rejects.toMatchObject({ code: 'GW1202' });
  const gone = new Promise((resolve) => holder.once('exit', resolve));
  holder.kill('SIGKILL');
  await gone;
  await using server = await serveNbd({ address: { path }, exports });
  expect(server.connections).toBe(0);
  // A file that is no socket is somebody's.
  await expect(serveNbd({ address: { path: join(dir, 'image') }, exports })).rejects.toMatchObject({ code: 'GW1202' });
  expect(readFileSync(join(dir, 'image')).length).toBe(MIB);
});

test('clients beyond the limit, and those that never choose an export, are hung up on', async () => {
  const { path, server } = await serve(undefined, { mostConnections: 2, handshakeMs: 200 });
  const chosen = await raw(path);
  const idle = await Peer.connect(path);
  expect(await idle.read(18)).toBeDefined();
  const third = await Peer.connect(path);
  expect(await third.untilClosed()).toBe(0);
  expect(await idle.untilClosed()).toBe(0); // its time is over
  chosen.send(encode({ type: READ, flags: 0, cookie: 3n, offset: 0n, length: 1 }));
  expect((await chosen.read(17))![16]).toBe(1);
  for (const peer of [chosen, idle, third]) peer.destroy();
  await waitFor(() => server.connections === 0, { timeoutMs: 5_000, what: 'the connections to end' });
});

test('the client: TLS both ways, wrong names and wrong certificates', async () => {
  const made = await createCertificates(workDir());
  const [ca, cert, client] = [made.caFile, made.serverCertKeyFile, made.clientCertKeyFile].map((file) =>
    readFileSync(file, 'utf8'),
  ) as [string, string, string];
  const { server } = await serve(undefined, {
    address: { host: '127.0.0.1', port: 0 },
    tls: { cert, key: cert, clientCa: ca },
  });
  const { address } = server;
  const good = { ca, cert: client, key: client, serverName: 'localhost' };
  const volume = await NbdClient.connect({ address, exportName: '', tls: good });
  const data = Buffer.alloc(3 * MIB, 9);
  await volume.write(MIB, data, true);
  const into = Buffer.alloc(3 * MIB);
  await volume.read(MIB, into);
  expect(into.equals(data)).toBe(true);
  await volume.close();
  expect(await volume.closed).toBeUndefined();
  await expect(NbdClient.connect({ address, exportName: '' })).rejects.toMatchObject({ code: 'GW2202' });
  await expect(NbdClient.connect({ address, exportName: 'x', tls: good })).rejects.toThrow(/no such export/);
  const other = { ...good, serverName: 'elsewhere' };
  await expect(NbdClient.connect({ address, exportName: '', tls: other })).rejects.toMatchObject({ code: 'GW2202' });
  // Without a certificate TLS 1.3 lets a client begin, and hangs up on it then.
  const bare = { ca, serverName: 'localhost' };
  await expect(NbdClient.connect({ address, exportName: '', tls: bare })).rejects.toMatchObject({
    code: expect.stringMatching(/GW3001|GW2202/),
  });
});

test('what is sent in the clear behind STARTTLS is never taken for something said under TLS', async () => {
  const made = await createCertificates(workDir());
  const cert = readFileSync(made.serverCertKeyFile, 'utf8');
  const { path } = await serve(undefined, { tls: { cert, key: cert } });
  const peer = await Peer.connect(path);
  await peer.read(18);
  peer.send(u32(3));
  peer.send(Buffer.concat([option(5, Buffer.alloc(0)), option(7, Buffer.concat([text(''), u16(0)]))]));
  expect(await peer.untilClosed()).toBe(0);
  // And without TLS no option but these is answered with anything else than "only with TLS".
  const other = await Peer.connect(path);
  await other.read(18);
  other.send(u32(3));
  for (const type of [3, 6, 7, 8, 9, 10, 77]) {
    other.send(option(type, Buffer.alloc(0)));
    const head = (await other.read(20))!;
    await other.read(head.readUInt32BE(16));
    expect([head.readUInt32BE(8), head.readUInt32BE(12)]).toEqual([type, 2 ** 31 + 5]);
  }
  other.destroy();
});

test('the client: a lost connection fails what is under way, and nonsense is noticed', async () => {
  let writes: (() => void)[] = [];
  const { path, server } = await serve((file) => {
    const made = held(file);
    writes = made.writes;
    return made.volume;
  });
  const client = await NbdClient.connect({ address: { path }, exportName: '' });
  const lost = client.write(0, Buffer.alloc(512), false);
  const outcome = expect(lost).rejects.toMatchObject({ code: 'GW3001' });
  await waitFor(() => writes.length === 1, { timeoutMs: 5_000, what: 'the write to begin' });
  const closing = server.close(20);
  await outcome;
  await expect(client.read(0, Buffer.alloc(1))).rejects.toMatchObject({ code: 'GW3001' });
  expect(await client.closed).toMatchObject({ code: 'GW3001' });
  writes[0]!();
  await closing;

  const nonsense: Server = createServer((socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'));
  const where = join(workDir(), 'nonsense');
  await new Promise<void>((resolve) => nonsense.listen(where, resolve));
  onTestFinished(() => {
    nonsense.close();
  });
  await expect(NbdClient.connect({ address: { path: where }, exportName: '' })).rejects.toMatchObject({
    code: 'GW5203',
  });
});

test('the client tells refusals by their number', async () => {
  const { path } = await serve();
  const client = await NbdClient.connect({ address: { path }, exportName: '' });
  await expect(client.write(client.size - 1, Buffer.alloc(2), false)).rejects.toMatchObject({
    code: 'GW5202',
    details: { errno: 28 },
  });
  await expect(client.read(client.size, Buffer.alloc(1))).rejects.toMatchObject({ details: { errno: 22 } });
  await client.write(0, Buffer.alloc(1), false); // and the connection goes on
  await client.close();
});
