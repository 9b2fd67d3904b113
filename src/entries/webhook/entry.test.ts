import { createHmac } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { openWebhookEntry, type WebhookEntryOptions } from './entry.ts';

const never = new AbortController().signal;
const FROM = { hosts: ['a:1'], setName: 'old' };
const TO = { hosts: ['b:1', 'b:2'], setName: 'new' };
let server: Server | undefined;

afterEach(() => {
  server?.closeAllConnections();
  server?.close();
});

interface Seen {
  readonly headers: IncomingMessage['headers'];
  readonly text: string;
}

/** A real receiver; `answer` says what it does with the n-th request. */
async function receiver(answer: (response: ServerResponse, n: number) => void): Promise<{ url: string; seen: Seen[] }> {
  const seen: Seen[] = [];
  server = createServer((request, response) => {
    const parts: Buffer[] = [];
    request.on('data', (part: Buffer) => parts.push(part));
    request.on('end', () => {
      seen.push({ headers: request.headers, text: Buffer.concat(parts).toString() });
      answer(response, seen.length);
    });
  });
  await new Promise<void>((resolve) => server!.listen(0, '127.0.0.1', resolve));
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook?token=hidden`, seen };
}

function open(options: WebhookEntryOptions, values = new Map<string, unknown>()) {
  const memory = {
    get: <T>(key: string) => values.get(key) as T | undefined,
    set: (key: string, value: unknown) => void values.set(key, value),
  };
  return openWebhookEntry(options, { run: 'r1', from: FROM, to: TO, memory });
}

const bodies = (seen: Seen[]) => seen.map(({ text }) => JSON.parse(text));

test('tells who goes where, signed', async () => {
  const { url, seen } = await receiver((response) => response.end('fine'));
  const entry = open({ url, secret: 'key', timeoutSeconds: 5 });
  await entry.check(never);
  await entry.flip(never);
  await entry.unflip(never);
  const [check, flip, unflip] = bodies(seen);
  expect(check).toMatchObject({ version: 1, action: 'check', run: 'r1', to: TO, from: FROM });
  expect(flip).toMatchObject({ version: 1, action: 'flip', to: TO, from: FROM, at: expect.stringMatching(/^\d{4}-/) });
  expect(unflip).toMatchObject({ action: 'unflip', to: FROM, from: TO });
  const signature = createHmac('sha256', 'key').update(seen[1]!.text).digest('hex');
  expect(seen[1]!.headers['x-godwit-signature']).toBe(`sha256=${signature}`);
});

test('a move keeps its key when repeated, after a crash too, and a new move gets a new one', async () => {
  const { url, seen } = await receiver((response) => response.end());
  const values = new Map<string, unknown>();
  await open({ url, timeoutSeconds: 5 }, values).flip(never);
  await open({ url, timeoutSeconds: 5 }, values).flip(never);
  await open({ url, timeoutSeconds: 5 }, values).unflip(never);
  await open({ url, timeoutSeconds: 5 }, values).flip(never);
  const [a, b, , c] = bodies(seen).map((body) => body.idempotencyKey);
  expect(a).toBe(b);
  expect(c).not.toBe(a);
  expect(seen[0]!.headers['x-godwit-signature']).toBeUndefined();
  expect(JSON.stringify([...values])).not.toContain('hidden');
});

test('passing failures are repeated with the same key', async () => {
  const { url, seen } = await receiver((response, n) => {
    if (n === 1) response.socket!.destroy();
    else response.writeHead(n === 2 ? 503 : 204).end();
  });
  await open({ url, timeoutSeconds: 10 }).flip(never);
  expect(seen).toHaveLength(3);
  expect(new Set(bodies(seen).map((body) => body.idempotencyKey)).size).toBe(1);
});

test('a refusal is final, said in the words of the receiver and without secrets', async () => {
  const { url, seen } = await receiver((response) => response.writeHead(403).end('no such run'));
  const error = await open({ url, timeoutSeconds: 5 })
    .flip(never)
    .catch((e: Error) => e);
  expect(error).toMatchObject({ code: 'GW7005', message: /HTTP 403, no such run/ });
  expect((error as Error).message).not.toContain('hidden');
  expect(seen).toHaveLength(1);
});

test('a redirect is no success', async () => {
  const { url } = await receiver((response) => response.writeHead(302, { location: '/' }).end());
  await expect(open({ url, timeoutSeconds: 5 }).flip(never)).rejects.toMatchObject({ code: 'GW7005', message: /302/ });
});

test('silence ends with the time allowed', async () => {
  const { url } = await receiver(() => undefined);
  const started = Date.now();
  await expect(open({ url, timeoutSeconds: 0.5 }).flip(never)).rejects.toMatchObject({
    code: 'GW7005',
    message: /no answer/,
  });
  expect(Date.now() - started).toBeLessThan(3000);
});

test('a stop is heeded at once', async () => {
  const { url } = await receiver(() => undefined);
  const stop = new AbortController();
  setTimeout(() => stop.abort(), 50);
  await expect(open({ url, timeoutSeconds: 60 }).flip(stop.signal)).rejects.toMatchObject({ code: 'GW8001' });
});

test('only web addresses without a login are taken', () => {
  expect(() => open({ url: 'ftp://x', timeoutSeconds: 1 })).toThrow(expect.objectContaining({ code: 'GW1001' }));
  expect(() => open({ url: 'http://u:p@x', timeoutSeconds: 1 })).toThrow(expect.objectContaining({ code: 'GW1001' }));
});
