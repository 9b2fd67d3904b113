import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { Channel, MESSAGE } from './channel.ts';

/** Two ends of a line. */
async function linePair(): Promise<[Socket, Socket]> {
  const dir = mkdtempSync(join(tmpdir(), 'godwit-line-'));
  const server = createServer().listen(join(dir, 's'));
  await once(server, 'listening');
  const a = connect(join(dir, 's'));
  const [[b]] = (await Promise.all([once(server, 'connection'), once(a, 'connect')])) as [[Socket], unknown];
  server.close();
  rmSync(dir, { recursive: true, force: true });
  return [a, b];
}

async function received(bytes: readonly Buffer[]): Promise<[number, string][]> {
  const [a, b] = await linePair();
  const channel = new Channel(b);
  for (const each of bytes) a.write(each);
  a.end();
  const found: [number, string][] = [];
  for await (const { type, payload } of channel.messages()) found.push([type, payload.toString('latin1')]);
  return found;
}

/** What goes over the line for these messages. */
async function sent(messages: readonly (readonly [number, Buffer])[]): Promise<Buffer> {
  const [a, b] = await linePair();
  const channel = new Channel(a);
  const chunks: Buffer[] = [];
  b.on('data', (chunk: Buffer) => chunks.push(chunk));
  for (const [type, payload] of messages) await channel.send(type, payload);
  a.end();
  await once(b, 'end');
  return Buffer.concat(chunks);
}

const MESSAGES = [
  [MESSAGE.bundle, Buffer.from('one')],
  [MESSAGE.sync, Buffer.alloc(0)],
  [MESSAGE.bundle, Buffer.alloc(3_000_000, 'x')],
  [MESSAGE.bye, Buffer.from('end')],
] as const;

test('messages come as they were sent, however the line cuts them up', async () => {
  const line = await sent(MESSAGES);
  const expected = MESSAGES.map(([type, payload]) => [type, payload.toString('latin1')]);
  for (const size of [7, 100, 65_536, line.length]) {
    const pieces: Buffer[] = [];
    for (let at = 0; at < line.length; at += at < 60 || at > line.length - 60 ? size : Math.max(size, 50_000)) {
      const next = at + (at < 60 || at > line.length - 60 ? size : Math.max(size, 50_000));
      pieces.push(line.subarray(at, next));
    }
    expect(await received(pieces)).toEqual(expected);
  }
});

test('a line that is cut off, or bent in one bit, is a lost connection, and no message is made of it', async () => {
  const line = await sent(MESSAGES.slice(0, 2));
  for (let length = 1; length < line.length; length += 1) {
    if (length === 12) continue; // whole messages
    await expect(received([line.subarray(0, length)])).rejects.toMatchObject({ code: 'GW3001' });
  }
  for (let at = 5; at < 12; at += 1) {
    const bent = Buffer.from(line);
    bent[at] = (bent[at] as number) ^ 1;
    await expect(received([bent])).rejects.toMatchObject({ code: 'GW3001' });
  }
});
