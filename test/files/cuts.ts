/** Moves a tree through a proxy that counts bytes and cuts the line, over mutual TLS. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createConnection, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import type { RelocateEvent } from '../../src/routes/relocate/api.ts';
import { agent, receive } from '../../src/routes/relocate/index.ts';
import { createCertificates } from '../servers/certificates.ts';
import { mountFresh } from './file-system.ts';
import { differences, ONE_COPY, python, Scratch } from './move.ts';

export interface CutResult {
  readonly outcome: string;
  readonly cuts: number;
  /** Bytes on the wire beyond what one copy without a cut sends. */
  readonly resent: number;
  readonly total: number;
  /** Differences that an independent program found. */
  readonly found: readonly string[];
}

/** Of a file system with room for such a tree. */
export const roomFor = (megabytes: number): number => Math.max(600, Math.ceil(megabytes * 1.3) + 300);

/** Many small files and some large ones, from a seed. */
export function makeTree(root: string, megabytes: number, seed: number): Promise<string> {
  return python(
    root,
    `
import random
r = random.Random(${seed}); left = ${megabytes} * 1_000_000; n = 0
while left > 0:
  d = 'd%03d' % r.randrange(60); os.makedirs(d, exist_ok=True); n += 1
  size = r.choice([0, 100, 3000, 20000, 60000, 200000, 1_500_000]); left -= size
  with open('%s/f%06d' % (d, n), 'wb') as f: f.write(r.randbytes(size))
  if r.random() < 0.05: os.symlink('f%06d' % n, '%s/l%06d' % (d, n))
with open('huge','wb') as f:
  for i in range(30): f.write(r.randbytes(1_000_000))
`,
  );
}

/** Makes the keys of both sides, each with the authority that signed the other. */
export async function makeTls(dir: string): Promise<{ ca: string; cert: string; key: string }> {
  mkdirSync(dir, { recursive: true });
  const { caFile, serverCertKeyFile } = await createCertificates(dir);
  // One file holds the key and the certificate; PEM readers take what they look for.
  writeFileSync(join(dir, 'both.pem'), readFileSync(serverCertKeyFile), { mode: 0o600 });
  return { ca: caFile, cert: join(dir, 'both.pem'), key: join(dir, 'both.pem') };
}

/** Passes connections on; cuts the line when `nextCut` bytes have gone from source to target, then asks for the next. */
export function cuttingProxy(
  to: number,
  nextCut: () => number,
): Promise<{ port: number; sent(): number; cuts(): number; close(): void }> {
  let sent = 0;
  let cuts = 0;
  let cutAt = nextCut();
  const sockets = new Set<Socket>();
  const server = createServer((source) => {
    const target = createConnection({ port: to, host: '127.0.0.1' });
    const end = () => {
      source.destroy();
      target.destroy();
    };
    for (const socket of [source, target]) {
      sockets.add(socket);
      socket.on('error', end).on('close', () => {
        sockets.delete(socket);
        end();
      });
    }
    target.pipe(source);
    source.on('data', (chunk) => {
      sent += chunk.length;
      if (sent >= cutAt) {
        cuts += 1;
        cutAt = sent + nextCut();
        return end();
      }
      if (!target.write(chunk)) {
        source.pause();
        target.once('drain', () => source.resume());
      }
    });
  });
  return new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      resolve({
        port: typeof address === 'object' && address !== null ? address.port : 0,
        sent: () => sent,
        cuts: () => cuts,
        close: () => {
          for (const socket of sockets) socket.destroy();
          server.close();
        },
      });
    });
  });
}

/** A generator of numbers below one, the same for the same seed. */
export function random(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

export async function moveOverCuts(options: { cuts: number; megabytes: number; seed: number }): Promise<CutResult> {
  await using source = await mountFresh('ext4', roomFor(options.megabytes));
  await makeTree(source.dir, options.megabytes, options.seed);
  const clean = await once(source.dir, options.megabytes, () => Number.POSITIVE_INFINITY);
  const next = random(options.seed);
  let left = options.cuts;
  const mean = (clean.sent / options.cuts) * 1.2;
  const cut = await once(source.dir, options.megabytes, () => {
    if (left === 0) return Number.POSITIVE_INFINITY;
    left -= 1;
    return Math.ceil(next() * mean);
  });
  return { outcome: cut.outcome, cuts: cut.cuts, resent: cut.sent - clean.sent, total: clean.sent, found: cut.found };
}

async function once(source: string, megabytes: number, nextCut: () => number) {
  await using target = await mountFresh('ext4', roomFor(megabytes));
  using scratch = new Scratch();
  const tls = await makeTls(join(scratch.dir, 'tls'));
  const stop = new AbortController();
  let port = 0;
  let isListening: () => void = () => undefined;
  const ready = new Promise<void>((resolve) => {
    isListening = resolve;
  });
  const onEvent = (event: RelocateEvent) => {
    if (event.kind !== 'listening') return;
    port = Number(event.address.split(':').at(-1));
    isListening();
  };
  const serving = receive(
    {
      address: '127.0.0.1:0',
      tls,
      root: target.dir,
      state: join(scratch.dir, 'receive'),
      once: true,
      commandTimeout: 60,
    },
    { signal: stop.signal, onEvent },
  );
  await Promise.race([ready, serving]);
  const proxy = await cuttingProxy(port, nextCut);
  try {
    const { outcome } = await agent(
      {
        address: `127.0.0.1:${proxy.port}`,
        tls,
        mappings: [{ source, target: '/' }],
        state: join(scratch.dir, 'agent'),
        compress: 'never',
        rounds: 8,
        ...ONE_COPY,
        dryRun: false,
        retryFor: 60,
      },
      { signal: stop.signal, onEvent, onProgress: () => undefined },
    );
    return { outcome, sent: proxy.sent(), cuts: proxy.cuts(), found: await differences(source, target.dir) };
  } finally {
    stop.abort();
    proxy.close();
    await serving.catch(() => undefined);
  }
}
