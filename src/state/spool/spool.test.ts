import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { LogBlock } from '../../kernel/ports.ts';
import { POSITION_ZERO, type Position } from '../../kernel/position.ts';
import { codeOf, smallDisk, tempDir } from '../fixtures/temp.ts';
import { Spool } from './spool.ts';

const at = (n: number) => n.toString(16).padStart(16, '0') as Position;
const block = (first: number, last = first, bytes = Buffer.from(`<${first}-${last}>`)): LogBlock => ({
  first: at(first),
  last: at(last),
  count: last - first + 1,
  bytes,
});

/** Reads until `end` was given. */
async function readTo(spool: Spool, after: Position, end: Position, maxBytes = 1 << 20): Promise<LogBlock[]> {
  const stop = new AbortController();
  const blocks: LogBlock[] = [];
  for await (const given of spool.read(after, maxBytes, stop.signal)) {
    blocks.push({ ...given, bytes: Buffer.from(given.bytes) });
    if (given.last >= end) stop.abort();
  }
  return blocks;
}
const text = (blocks: readonly LogBlock[]) => blocks.map((one) => one.bytes.toString()).join('');

test('gives back what was appended, also after a reopen', async () => {
  const dir = join(tempDir(), 'spool');
  let spool = await Spool.open(dir);
  expect(spool.end).toBe(POSITION_ZERO);
  await spool.append(block(1, 3));
  await spool.append(block(4));
  await spool.sync();
  expect(text(await readTo(spool, POSITION_ZERO, at(4)))).toBe('<1-3><4-4>');
  await spool.close();
  spool = await Spool.open(dir);
  expect([spool.end, spool.tornBytes]).toEqual([at(4), 0]);
  const [merged] = await readTo(spool, POSITION_ZERO, at(4));
  expect(merged).toMatchObject({ first: at(1), last: at(4), count: 4 });
  expect(text(await readTo(spool, at(2), at(4)))).toBe('<1-3><4-4>'); // a block partly before is given whole
  expect(text(await readTo(spool, at(3), at(4)))).toBe('<4-4>');
  expect(statSync(dir).mode & 0o777).toBe(0o700);
  expect(statSync(join(dir, '00000001.seg')).mode & 0o777).toBe(0o600);
  await spool.close();
});

test('refuses a block that does not follow', async () => {
  const spool = await Spool.open(tempDir());
  await spool.append(block(5, 7));
  expect(await codeOf(() => spool.append(block(7, 8)))).toBe('GW9001');
  expect(await codeOf(() => spool.append(block(9, 8)))).toBe('GW9001');
  await spool.append(block(8));
  await spool.close();
  expect(await codeOf(() => spool.append(block(9)))).toBe('GW9001');
});

test('appends asked for at once go in one after another', async () => {
  const spool = await Spool.open(tempDir(), { segmentBytes: 300 });
  await Promise.all(Array.from({ length: 50 }, (_, i) => spool.append(block(i + 1))));
  const expected = Array.from({ length: 50 }, (_, i) => `<${i + 1}-${i + 1}>`).join('');
  expect(text(await readTo(spool, POSITION_ZERO, at(50)))).toBe(expected);
  await spool.close();
});

test('merges up to maxBytes and gives a larger block whole', async () => {
  const spool = await Spool.open(tempDir());
  for (let n = 1; n <= 10; n += 1) await spool.append(block(n, n, Buffer.alloc(100, n)));
  await spool.append(block(11, 11, Buffer.alloc(400_000, 11)));
  await spool.append(block(12, 12, Buffer.alloc(10, 12)));
  const sizes = (await readTo(spool, POSITION_ZERO, at(12), 250)).map((one) => one.bytes.length);
  expect(sizes).toEqual([200, 200, 200, 200, 200, 400_000, 10]);
  await spool.close();
});

test('readers wait for appends, end with their signal, and end when the spool closes', async () => {
  const spool = await Spool.open(tempDir(), { segmentBytes: 200 });
  const stop = new AbortController();
  const follow = async (signal: AbortSignal, onBlock: (given: LogBlock) => void) => {
    for await (const given of spool.read(POSITION_ZERO, 1000, signal)) onBlock(given);
  };
  let seen = '';
  let other = '';
  const first = follow(stop.signal, (given) => {
    seen += given.bytes.toString();
    if (given.last >= at(20)) stop.abort();
  });
  const second = follow(new AbortController().signal, (given) => {
    other += given.bytes.toString();
  });
  for (let n = 1; n <= 20; n += 1) await spool.append(block(n));
  await first;
  expect(seen).toContain('<20-20>');
  while (!other.includes('<20-20>')) await new Promise((resolve) => setImmediate(resolve));
  await spool.close();
  await second;
  expect(other).toBe(seen);
});

test('trim lets whole segments go, but not one that is read, nor the newest', async () => {
  const dir = tempDir();
  let spool = await Spool.open(dir, { segmentBytes: 150 });
  for (let n = 1; n <= 12; n += 1) await spool.append(block(n));
  const before = readdirSync(dir).length;
  expect(before).toBeGreaterThan(3);
  const reader = spool.read(POSITION_ZERO, 1, new AbortController().signal);
  await reader.next();
  await spool.trim(at(12));
  expect(readdirSync(dir)).toHaveLength(before);
  await reader.return();
  const size = spool.sizeBytes;
  await spool.trim(at(12));
  expect(readdirSync(dir)).toHaveLength(1);
  expect(spool.sizeBytes).toBeLessThan(size);
  expect(spool.sizeBytes).toBe(statSync(join(dir, readdirSync(dir)[0] as string)).size);
  expect(await codeOf(() => readTo(spool, POSITION_ZERO, at(12)))).toBe('GW4002');
  await spool.close();
  spool = await Spool.open(dir);
  expect(spool.end).toBe(at(12));
  await spool.close();
});

test('refuses a newer format and a missing segment', async () => {
  const dir = tempDir();
  const spool = await Spool.open(dir, { segmentBytes: 100 });
  for (let n = 1; n <= 9; n += 1) await spool.append(block(n));
  await spool.close();
  const second = join(dir, '00000002.seg');
  const bytes = readFileSync(second);
  await rm(second);
  expect(await codeOf(() => Spool.open(dir))).toBe('GW4002');
  bytes.writeUInt32LE(2, 8);
  writeFileSync(second, bytes);
  expect(await codeOf(() => Spool.open(dir))).toBe('GW9002');
});

test('a full disk is GW4003 and leaves the spool whole', async () => {
  const dir = join(smallDisk('2m'), 'spool');
  const spool = await Spool.open(dir, { segmentBytes: 300_000 });
  const filler = Buffer.alloc(90_001, 7);
  let n = 0;
  let code = '';
  while (code === '') {
    try {
      await spool.append(block(n + 1, n + 1, filler));
      n += 1;
    } catch (error) {
      code = (error as { code: string }).code;
    }
  }
  expect(code).toBe('GW4003');
  expect(n).toBeGreaterThan(10);
  expect(spool.end).toBe(at(n));
  expect(await readTo(spool, at(n - 2), at(n), 1)).toHaveLength(2);
  await spool.trim(at(10));
  await spool.append(block(n + 1, n + 1, filler)); // space was made: the same block goes in
  await spool.sync();
  await spool.close();
  const again = await Spool.open(dir);
  expect([again.end, again.tornBytes]).toEqual([at(n + 1), 0]);
  await again.close();
});

type Step =
  | { do: 'append'; span: number; size: number }
  | { do: 'read'; from: number; maxBytes: number }
  | { do: 'trim'; to: number }
  | { do: 'sync' | 'reopen' };

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('append' as const),
      span: fc.integer({ min: 1, max: 4 }),
      size: fc.nat(400),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('read' as const),
      from: fc.nat(100),
      maxBytes: fc.integer({ min: 1, max: 900 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('trim' as const), to: fc.nat(100) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constantFrom('sync' as const, 'reopen' as const) }) },
);

test('behaves as a list of blocks', { timeout: 60_000 }, async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { maxLength: 60 }),
      fc.integer({ min: 60, max: 2000 }),
      async (steps, segmentBytes) => {
        const dir = await mkdtemp(join(tmpdir(), 'godwit-spool-'));
        let spool = await Spool.open(dir, { segmentBytes });
        const model: LogBlock[] = [];
        let end = 0;
        let trimmed = 0;
        try {
          for (const one of steps) {
            if (one.do === 'append') {
              const made = block(end + 1, end + one.span, Buffer.alloc(one.size, end));
              await spool.append(made);
              model.push(made);
              end += one.span;
            } else if (one.do === 'sync') {
              await spool.sync();
            } else if (one.do === 'reopen') {
              await spool.close();
              spool = await Spool.open(dir, { segmentBytes });
              expect(spool.tornBytes).toBe(0);
            } else if (one.do === 'trim') {
              const to = Math.min(one.to, end);
              await spool.trim(at(to));
              trimmed = Math.max(trimmed, to);
            } else if (one.do === 'read' && end > 0) {
              const from = Math.min(Math.max(one.from % (end + 1), trimmed), end - 1);
              if (from < trimmed) continue;
              const given = await readTo(spool, at(from), at(end), one.maxBytes);
              const expected = model.filter((each) => each.last > at(from));
              expect(Buffer.concat(given.map((each) => each.bytes))).toEqual(
                Buffer.concat(expected.map((each) => each.bytes)),
              );
              expect(given[0]?.first).toBe(expected[0]?.first);
              expect(given.reduce((sum, each) => sum + each.count, 0)).toBe(
                expected.reduce((sum, each) => sum + each.count, 0),
              );
            }
            expect(spool.end).toBe(end === 0 ? POSITION_ZERO : at(end));
            const onDisk = readdirSync(dir).reduce((sum, name) => sum + statSync(join(dir, name)).size, 0);
            expect(spool.sizeBytes).toBe(onDisk);
          }
        } finally {
          await spool.close();
          await rm(dir, { recursive: true });
        }
      },
    ),
    { numRuns: 150 },
  );
});

test('a segment is followed by another when it is old, and the oldest go when there are too many bytes', async () => {
  const dir = tempDir();
  // Older than allowed from its first moment on.
  const spool = await Spool.open(dir, { segmentMs: -1 });
  for (let n = 1; n <= 6; n += 1) await spool.append(block(n));
  expect(readdirSync(dir).length).toBe(6);
  expect(spool.begin).toBe(POSITION_ZERO);
  await spool.trimToBytes(spool.sizeBytes - 1);
  expect(readdirSync(dir).length).toBe(5);
  expect(spool.begin).toBe(at(1));
  // The newest stays, whatever is asked.
  await spool.trimToBytes(0);
  expect(readdirSync(dir).length).toBe(1);
  expect(spool.begin).toBe(at(5));
  expect(spool.end).toBe(at(6));
  await spool.close();
});
