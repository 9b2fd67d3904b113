import { expect, test } from 'vitest';
import { GodwitError } from './errors.ts';
import type { Chunk, Drift } from './ports.ts';
import { type VerifyOptions, verifyAll } from './verify.ts';

const instant = { now: () => 0, sleep: async () => undefined };
const chunk = (id: number): Chunk => ({ id, unit: 'a', bounds: Buffer.alloc(0), docs: 1, bytes: 10 });
const turn = () => new Promise<void>((resolve) => setImmediate(resolve));
const DRIFT: Drift = { unit: 'a', kind: 'missing', key: '1' };

function setUp(count: number, over: Partial<VerifyOptions> = {}) {
  const log: string[] = [];
  const counted = { docs: 0, bytes: 0 };
  const stop = new AbortController();
  const options: VerifyOptions = {
    verifier: {
      verify: async (one, progress) => {
        await turn();
        progress(2, 20);
        return { docs: 2, bytes: 20, drift: one.id === 1 ? [DRIFT] : [] };
      },
    },
    ledger: {
      pending: () => Array.from({ length: count }, (_, id) => chunk(id)),
      done: (one, docs, bytes) => void log.push(`done ${one.id} ${docs} ${bytes}`),
    },
    lanes: 2,
    retry: { clock: instant, signal: stop.signal, deadlineMs: 60_000 },
    onProgress: (docs, bytes) => {
      counted.docs += docs;
      counted.bytes += bytes;
    },
    onDrift: (drift) => void log.push(`drift ${drift.map(({ key }) => key).join()}`),
    gate: async () => undefined,
    ...over,
  };
  return { options, log, counted, stop };
}

test('every chunk is done once; what differs is kept before its chunk counts as done', async () => {
  const { options, log, counted } = setUp(3);
  await verifyAll(options);
  expect(log.filter((line) => line.startsWith('done')).sort()).toEqual(['done 0 2 20', 'done 1 2 20', 'done 2 2 20']);
  expect(log.indexOf('drift 1')).toBe(log.indexOf('done 1 2 20') - 1);
  expect(counted).toEqual({ docs: 6, bytes: 60 });
});

test('a passing fault repeats the chunk, and its counts are taken back', async () => {
  const { options, log, counted } = setUp(1);
  let attempts = 0;
  await verifyAll({
    ...options,
    verifier: {
      verify: async (one, progress, signal) => {
        attempts += 1;
        if (attempts === 3) return options.verifier.verify(one, progress, signal);
        progress(1, 10);
        throw new GodwitError('GW3003', 'Busy');
      },
    },
  });
  expect(log).toEqual(['done 0 2 20']);
  expect(counted).toEqual({ docs: 2, bytes: 20 });
});

test('an error in one lane ends the others before it is thrown: nothing goes on behind the caller', async () => {
  const { options, log, counted } = setUp(20);
  const refusal = new GodwitError('GW5001', 'Refused');
  let ended = false;
  const work = verifyAll({
    ...options,
    verifier: {
      verify: async (one, progress, signal) => {
        progress(1, 10);
        if (one.id === 0) throw refusal;
        await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
        await turn();
        ended = true;
        throw new Error('closed under it');
      },
    },
  });
  await expect(work).rejects.toBe(refusal);
  expect(ended).toBe(true);
  expect(counted).toEqual({ docs: 0, bytes: 0 });
  await turn();
  expect(log).toEqual([]);
});

test('a stop ends it', async () => {
  const { options, stop } = setUp(20, { onProgress: () => stop.abort() });
  await expect(verifyAll(options)).rejects.toMatchObject({ code: 'GW8001' });
});
