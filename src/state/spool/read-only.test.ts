import { appendFileSync, readdirSync, rmSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { LogBlock } from '../../kernel/ports.ts';
import { POSITION_ZERO, type Position } from '../../kernel/position.ts';
import { startChild } from '../fixtures/child.ts';
import { codeOf, tempDir } from '../fixtures/temp.ts';
import { readSpool, spoolBounds } from './read-only.ts';
import { Spool } from './spool.ts';

const at = (n: number) => n.toString(16).padStart(16, '0') as Position;
const block = (n: number): LogBlock => ({ first: at(n), last: at(n), count: 1, bytes: Buffer.from(`<${n}>`) });

async function textAfter(dir: string, after: Position): Promise<string> {
  let text = '';
  for await (const given of readSpool(dir, after)) text += given.bytes.toString();
  return text;
}
const blocks = (from: number, to: number): string =>
  Array.from({ length: to - from + 1 }, (_, i) => `<${from + i}>`).join('');

test('sees what is there while it is being written, and touches nothing', async () => {
  const dir = join(tempDir(), 'log');
  expect(await spoolBounds(dir)).toBeUndefined();
  expect(await textAfter(dir, POSITION_ZERO)).toBe('');
  const spool = await Spool.open(dir, { segmentBytes: 400 });
  for (let n = 1; n <= 20; n += 1) await spool.append(block(n));
  expect(await textAfter(dir, POSITION_ZERO)).toBe(blocks(1, 20));
  expect(await textAfter(dir, at(13))).toContain(blocks(14, 20));
  const bounds = await spoolBounds(dir);
  expect(bounds).toMatchObject({ after: POSITION_ZERO, end: at(20), bytes: spool.sizeBytes });
  expect(bounds?.segments).toBe(readdirSync(dir).length);
  expect(bounds?.segments).toBeGreaterThan(2);

  // A block that is being written, or was torn by a crash, is not there yet.
  const newest = join(dir, readdirSync(dir).sort().at(-1) as string);
  appendFileSync(newest, Buffer.from([9, 0, 0, 0, 1, 2, 3]));
  expect(await textAfter(dir, at(18))).toContain('<20>');
  expect((await spoolBounds(dir))?.end).toBe(at(20));
  await spool.close();
});

test('tells what was let go of, and a hole', async () => {
  const dir = tempDir();
  const spool = await Spool.open(dir, { segmentBytes: 400 });
  for (let n = 1; n <= 40; n += 1) await spool.append(block(n));
  await spool.trim(at(20));
  const bounds = await spoolBounds(dir);
  expect((bounds?.after ?? '') > at(5)).toBe(true);
  expect(await codeOf(() => textAfter(dir, at(1)))).toBe('GW4002');
  expect(await textAfter(dir, bounds?.after as Position)).toContain(blocks(25, 40));
  const files = readdirSync(dir).sort();
  // The middle of an older file.
  truncateSync(join(dir, files[1] as string), 200);
  expect(await codeOf(() => textAfter(dir, bounds?.after as Position))).toBe('GW4002');
  rmSync(join(dir, files[1] as string));
  expect(await codeOf(() => textAfter(dir, at(39)))).toBe('GW4002');
  await spool.close();
});

test('a writer that lets go of the oldest meanwhile is no damage', { timeout: 60_000 }, async () => {
  const dir = tempDir();
  const spool = await Spool.open(dir, { segmentBytes: 200 });
  await spool.append(block(1));
  let writing = true;
  const writer = (async () => {
    for (let n = 2; n <= 1_500; n += 1) {
      await spool.append(block(n));
      await spool.trim(at(n - 4));
    }
    writing = false;
  })();
  const looks = { bounds: 0, whole: 0, late: 0 };
  while (writing) {
    const bounds = await spoolBounds(dir);
    expect((bounds?.end ?? '') >= (bounds?.after ?? '')).toBe(true);
    looks.bounds += 1;
    let reached = bounds?.after as Position;
    const code = await codeOf(async () => {
      for await (const { first, last } of readSpool(dir, reached)) {
        expect(Number.parseInt(first, 16)).toBe(Number.parseInt(reached || '0', 16) + 1);
        reached = last;
      }
    });
    if (code === 'nothing was thrown') looks.whole += 1;
    else {
      expect(code).toBe('GW4002');
      looks.late += 1;
    }
  }
  await writer;
  expect(looks.bounds).toBeGreaterThan(20);
  expect(looks.whole + looks.late).toBe(looks.bounds);
  await spool.close();
});

test('reads along with another process that appends, and after it was killed', { timeout: 60_000 }, async () => {
  const dir = tempDir();
  const child = startChild('append-loop.ts', dir);
  await child.spoke;
  let reached = POSITION_ZERO;
  let seen = 0;
  const read = async () => {
    for await (const given of readSpool(dir, reached)) {
      expect(given.first).toBe(at(seen + 1));
      seen += given.count;
      expect(given.last).toBe(at(seen));
      reached = given.last;
    }
  };
  while (seen < 300) await read();
  await child.kill();
  await read();
  const synced = Number(child.output.trim().split('\n').at(-1));
  expect(seen).toBeGreaterThanOrEqual(synced);
  // The next writer goes on after what was read, or cuts off nothing that was.
  const spool = await Spool.open(dir);
  expect(spool.end).toBe(at(seen));
  await spool.close();
});
