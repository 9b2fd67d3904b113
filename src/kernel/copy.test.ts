import fc from 'fast-check';
import { expect, test } from 'vitest';
import { systemClock } from './clock.ts';
import { type CopyOptions, copyAll } from './copy.ts';
import { GodwitError } from './errors.ts';
import type { Chunk } from './ports.ts';

const instant = { now: systemClock.now, sleep: async () => undefined };
const chunk = (id: number, unit: string): Chunk => ({ id, unit, bounds: Buffer.alloc(0), docs: 1, bytes: 10 });
/** Lets everything else that can go on go on. */
const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

function setUp(chunks: readonly Chunk[], over: Partial<CopyOptions> = {}) {
  const log: string[] = [];
  const counted = new Map<string, { docs: number; bytes: number }>();
  const stop = new AbortController();
  const options: CopyOptions = {
    copier: {
      copy: async (one, progress) => {
        await turn();
        progress(1, 10);
        log.push(`copied ${one.id}`);
      },
    },
    ledger: { pending: () => chunks, done: (one, docs, bytes) => void log.push(`done ${one.id} ${docs} ${bytes}`) },
    lanes: 2,
    units: [...new Set(chunks.map((one) => one.unit))],
    finishUnit: async (unit) => {
      log.push(`finish ${unit}`);
    },
    retry: { clock: instant, signal: stop.signal, deadlineMs: 60_000 },
    onProgress: (unit, docs, bytes) => {
      const sum = counted.get(unit) ?? { docs: 0, bytes: 0 };
      counted.set(unit, { docs: sum.docs + docs, bytes: sum.bytes + bytes });
    },
    gate: async () => undefined,
    ...over,
  };
  return { options, log, counted, stop };
}

test('every chunk once, every unit finished once and after its last chunk, never more lanes than asked for', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.constantFrom('a', 'b', 'c'), { maxLength: 12 }),
      fc.integer({ min: 1, max: 5 }),
      fc.array(fc.integer({ min: 0, max: 2 }), { minLength: 12, maxLength: 12 }),
      async (units, lanes, delays) => {
        const chunks = units.map((unit, id) => chunk(id, unit));
        let inside = 0;
        let finishing = 0;
        const { options, log, counted } = setUp(chunks, { lanes, units: ['a', 'b', 'c', 'empty'] });
        const finished = new Map<string, number>();
        await copyAll({
          ...options,
          copier: {
            copy: async (one, progress, signal) => {
              inside += 1;
              expect(inside).toBeLessThanOrEqual(lanes);
              for (let i = 0; i < (delays[one.id] ?? 0); i += 1) await turn();
              await options.copier.copy(one, progress, signal);
              inside -= 1;
            },
          },
          finishUnit: async (unit) => {
            finishing += 1;
            expect(finishing, 'one unit at a time').toBe(1);
            for (const one of chunks) if (one.unit === unit) expect(log).toContain(`done ${one.id} 1 10`);
            finished.set(unit, (finished.get(unit) ?? 0) + 1);
            await turn();
            finishing -= 1;
          },
        });
        expect(log.filter((line) => line.startsWith('copied')).length).toBe(chunks.length);
        expect([...finished].sort()).toEqual([
          ['a', 1],
          ['b', 1],
          ['c', 1],
          ['empty', 1],
        ]);
        for (const unit of new Set(units)) {
          const docs = units.filter((one) => one === unit).length;
          expect(counted.get(unit)).toEqual({ docs, bytes: docs * 10 });
        }
      },
    ),
    { numRuns: 40 },
  );
});

test('units are finished beside the copying of others', async () => {
  const { options } = setUp([chunk(0, 'a'), chunk(1, 'b'), chunk(2, 'b')], { lanes: 1 });
  const seen: string[] = [];
  let finishA: () => void = () => undefined;
  await copyAll({
    ...options,
    ledger: {
      ...options.ledger,
      done: (one) => {
        seen.push(`done ${one.id}`);
        if (one.id === 2) finishA();
      },
    },
    finishUnit: (unit) => {
      seen.push(`begin ${unit}`);
      return unit === 'a' ? new Promise((resolve) => (finishA = resolve)) : Promise.resolve();
    },
  });
  expect(seen).toEqual(['done 0', 'begin a', 'done 1', 'done 2', 'begin b']);
});

test('a passing fault repeats the chunk from its start, and its counts are taken back', async () => {
  const { options, log, counted } = setUp([chunk(0, 'a')]);
  let attempts = 0;
  await copyAll({
    ...options,
    copier: {
      copy: async (_one, progress) => {
        progress(3, 30);
        attempts += 1;
        if (attempts < 4) throw new GodwitError('GW3001', 'Lost');
        progress(2, 20);
      },
    },
  });
  expect(log).toEqual(['done 0 5 50', 'finish a']);
  expect(counted.get('a')).toEqual({ docs: 5, bytes: 50 });
});

test('a fault while a unit is finished is waited out', async () => {
  const { options } = setUp([chunk(0, 'a')]);
  let attempts = 0;
  await copyAll({
    ...options,
    finishUnit: async () => {
      attempts += 1;
      if (attempts < 3) throw new GodwitError('GW3002', 'Elected');
    },
  });
  expect(attempts).toBe(3);
});

const refusal = new GodwitError('GW5001', 'Refused');

test('an error in one lane ends the others, before it is thrown', async () => {
  const { options, log, counted } = setUp([chunk(0, 'a'), chunk(1, 'b'), chunk(2, 'b')]);
  let ended = false;
  const work = copyAll({
    ...options,
    copier: {
      copy: async (one, progress, signal) => {
        progress(1, 10);
        if (one.id === 0) {
          await turn();
          throw refusal;
        }
        await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
        await turn();
        ended = true;
        throw new Error('closed under it');
      },
    },
  });
  await expect(work).rejects.toBe(refusal);
  expect(ended).toBe(true);
  expect(log).toEqual([]);
  expect([...counted.values()]).toEqual([
    { docs: 0, bytes: 0 },
    { docs: 0, bytes: 0 },
  ]);
});

test('an error while a unit is finished ends the lanes and is what is thrown', async () => {
  const { options, log } = setUp([chunk(0, 'a'), ...Array.from({ length: 50 }, (_, i) => chunk(i + 1, 'b'))], {
    lanes: 1,
  });
  await expect(copyAll({ ...options, finishUnit: () => Promise.reject(refusal) })).rejects.toBe(refusal);
  const copied = log.length;
  expect(copied).toBeLessThan(20);
  await turn();
  expect(log.length).toBe(copied);
});

test('a stop ends it with the reason of the stop; nothing new is begun', async () => {
  const { options, stop, log } = setUp(Array.from({ length: 9 }, (_, i) => chunk(i, 'a')));
  const work = copyAll({
    ...options,
    ledger: {
      ...options.ledger,
      done: (one) => {
        log.push(`done ${one.id}`);
        stop.abort(new GodwitError('GW8001', 'Enough'));
      },
    },
  });
  await expect(work).rejects.toMatchObject({ code: 'GW8001', message: 'Enough' });
  expect(log.filter((line) => line.startsWith('copied')).length).toBeLessThanOrEqual(2);
});

test('a closed gate holds every chunk', async () => {
  let open: () => void = () => undefined;
  const gate = new Promise<void>((resolve) => (open = resolve));
  const { options, log } = setUp([chunk(0, 'a'), chunk(1, 'a')], { gate: () => gate });
  const work = copyAll(options);
  await turn();
  await turn();
  expect(log).toEqual([]);
  open();
  await work;
  expect(log).toContain('finish a');
});
