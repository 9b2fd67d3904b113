import { cpSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { POSITION_ZERO, type Position } from '../../kernel/position.ts';
import { startChild } from '../fixtures/child.ts';
import { tempDir } from '../fixtures/temp.ts';
import { Spool } from './spool.ts';

const at = (n: number) => n.toString(16).padStart(16, '0') as Position;
const payload = (n: number) => Buffer.alloc((n * 37) % 120, n);
const BLOCKS = 30;
const SEGMENT_BYTES = 500;

async function fillSpool(dir: string): Promise<void> {
  const spool = await Spool.open(dir, { segmentBytes: SEGMENT_BYTES });
  for (let n = 1; n <= BLOCKS; n += 1) await spool.append({ first: at(n), last: at(n), count: 1, bytes: payload(n) });
  await spool.close();
}

/** Reads all there is, one block at a time, and checks that it is a prefix. Returns its length and what ended it. */
async function prefixOf(
  dir: string,
  expected: (n: number) => Buffer,
): Promise<{ blocks: number; code?: string; end?: Position }> {
  let blocks = 0;
  try {
    const spool = await Spool.open(dir, { segmentBytes: SEGMENT_BYTES });
    const stop = new AbortController();
    try {
      if (spool.end === POSITION_ZERO) return { blocks: 0, end: spool.end };
      for await (const given of spool.read(POSITION_ZERO, 1, stop.signal)) {
        blocks += 1;
        expect(given).toMatchObject({ first: at(blocks), last: at(blocks), count: 1 });
        expect(given.bytes.equals(expected(blocks))).toBe(true);
        if (given.last === spool.end) stop.abort();
      }
      expect(spool.end).toBe(at(blocks));
      return { blocks, end: spool.end };
    } finally {
      await spool.close();
    }
  } catch (error) {
    const code = (error as { code?: string }).code;
    if (code === undefined || !code.startsWith('GW')) throw error;
    return { blocks, code };
  }
}

test('the last segment cut at any byte gives a prefix that can be appended to', { timeout: 60_000 }, async () => {
  const root = tempDir();
  await fillSpool(join(root, 'whole'));
  const names = readdirSync(join(root, 'whole')).sort();
  const last = names.at(-1) as string;
  const length = readFileSync(join(root, 'whole', last)).length;
  let shortest = BLOCKS;
  for (let cut = 0; cut <= length; cut += 1) {
    const dir = join(root, 'cut');
    cpSync(join(root, 'whole'), dir, { recursive: true });
    truncateSync(join(dir, last), cut);
    const found = await prefixOf(dir, payload);
    expect(found.code).toBeUndefined();
    shortest = Math.min(shortest, found.blocks);
    const spool = await Spool.open(dir, { segmentBytes: SEGMENT_BYTES });
    for (let n = found.blocks + 1; n <= BLOCKS; n += 1)
      await spool.append({ first: at(n), last: at(n), count: 1, bytes: payload(n) });
    await spool.close();
    expect(await prefixOf(dir, payload)).toEqual({ blocks: BLOCKS, end: at(BLOCKS) });
    rmSync(dir, { recursive: true });
  }
  expect(shortest).toBeLessThan(BLOCKS);
  expect(shortest).toBeGreaterThan(10);
});

test('a flipped byte is never given as data', { timeout: 60_000 }, async () => {
  const root = tempDir();
  await fillSpool(join(root, 'whole'));
  const names = readdirSync(join(root, 'whole')).sort();
  await fc.assert(
    fc.asyncProperty(fc.nat(), fc.nat(), fc.integer({ min: 1, max: 255 }), async (file, offset, mask) => {
      const dir = join(root, 'flipped');
      cpSync(join(root, 'whole'), dir, { recursive: true });
      const index = file % names.length;
      const path = join(dir, names[index] as string);
      const bytes = readFileSync(path);
      const where = offset % bytes.length;
      bytes[where] = (bytes[where] ?? 0) ^ mask;
      writeFileSync(path, bytes);
      const found = await prefixOf(dir, payload); // itself fails on wrong data or a hole
      const isLast = index === names.length - 1;
      if (!isLast) expect(['GW4002', 'GW9002']).toContain(found.code);
      rmSync(dir, { recursive: true });
    }),
    { numRuns: 300 },
  );
});

test('an older segment cut short is an error, not a hole', { timeout: 60_000 }, async () => {
  const root = tempDir();
  await fillSpool(join(root, 'whole'));
  const second = readdirSync(join(root, 'whole')).sort()[1] as string;
  const length = readFileSync(join(root, 'whole', second)).length;
  for (let cut = 0; cut < length; cut += 1) {
    const dir = join(root, 'cut');
    cpSync(join(root, 'whole'), dir, { recursive: true });
    truncateSync(join(dir, second), cut);
    expect((await prefixOf(dir, payload)).code).toBe('GW4002');
    rmSync(dir, { recursive: true });
  }
});

test('a killed process leaves at least what it synced', { timeout: 60_000 }, async () => {
  const dir = join(tempDir(), 'spool');
  const expected = (n: number) => Buffer.alloc((n * 7919) % 30_000, n & 0xff);
  let synced = 0;
  for (let round = 0; round < 4; round += 1) {
    const child = startChild('./append-loop.ts', dir);
    await child.spoke;
    await new Promise((resolve) => setTimeout(resolve, Math.random() * 150));
    await child.kill();
    const said = child.output.split('\n').slice(0, -1).map(Number);
    synced = Math.max(synced, ...said);
    const found = await prefixOf(dir, expected);
    expect(found.code).toBeUndefined();
    expect(found.blocks).toBeGreaterThanOrEqual(synced);
  }
});
