import { expect, test } from 'vitest';
import type { ChangeLog, LogBlock } from '../../src/kernel/ports.ts';
import { POSITION_ZERO, type Position } from '../../src/kernel/position.ts';

export interface ChangeLogSubject {
  /** Opens the same log again; the one before was closed. */
  open(): Promise<ChangeLog>;
}

const at = (n: number) => n.toString(16).padStart(16, '0') as Position;
const block = (first: number, last = first): LogBlock => ({
  first: at(first),
  last: at(last),
  count: last - first + 1,
  bytes: Buffer.from(Array.from({ length: last - first + 1 }, (_, i) => first + i)),
});

/** Numbers given until `until` was. */
async function numbersAfter(log: ChangeLog, after: Position, until: number, maxBytes = 1_000): Promise<number[]> {
  const stop = new AbortController();
  const seen: number[] = [];
  for await (const given of log.read(after, maxBytes, stop.signal)) {
    expect(given.bytes.length).toBe(given.count);
    expect([given.first, given.last]).toEqual([at(given.bytes[0]!), at(given.bytes.at(-1)!)]);
    // Copied at once: the bytes are valid until the next block is asked for.
    seen.push(...given.bytes);
    if (given.last >= at(until)) stop.abort();
  }
  return seen;
}

const range = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => from + i);

/** What `ChangeLog` promises. */
export function describeChangeLogContract(name: string, make: () => Promise<ChangeLogSubject>): void {
  test(`${name}: an empty log ends at the beginning of all`, async () => {
    const log = await (await make()).open();
    expect(log.end).toBe(POSITION_ZERO);
    await log.sync();
    await log.close();
  });

  test(`${name}: gives what was appended, in order, from any place, merged or not`, async () => {
    const log = await (await make()).open();
    for (let n = 1; n <= 30; n += 3) await log.append(block(n, n + 2));
    expect(log.end).toBe(at(30));
    for (const maxBytes of [1, 7, 1_000]) {
      expect(await numbersAfter(log, POSITION_ZERO, 30, maxBytes)).toEqual(range(1, 30));
      expect(await numbersAfter(log, at(15), 30, maxBytes)).toEqual(range(16, 30));
    }
    // From the middle of a block: nothing after it is missing, nothing comes twice.
    const middle = await numbersAfter(log, at(17), 30);
    expect(middle.slice(middle.indexOf(18))).toEqual(range(18, 30));
    await log.close();
  });

  test(`${name}: refuses a block that does not start after its end`, async () => {
    const log = await (await make()).open();
    await log.append(block(5, 6));
    await expect(log.append(block(6, 7))).rejects.toThrow();
    await expect(log.append(block(4))).rejects.toThrow();
    await log.append(block(9));
    expect(await numbersAfter(log, POSITION_ZERO, 9)).toEqual([5, 6, 9]);
    await log.close();
  });

  test(`${name}: what was synced is there for the next who opens it`, async () => {
    const subject = await make();
    const log = await subject.open();
    await log.append(block(1, 4));
    await log.sync();
    await log.close();
    const again = await subject.open();
    expect(again.end).toBe(at(4));
    await again.append(block(5));
    expect(await numbersAfter(again, POSITION_ZERO, 5)).toEqual(range(1, 5));
    await again.close();
  });

  test(`${name}: readers wait for more, several at once, until their signal is set`, async () => {
    const log = await (await make()).open();
    const readers = [
      numbersAfter(log, POSITION_ZERO, 3),
      numbersAfter(log, at(1), 3),
      numbersAfter(log, POSITION_ZERO, 3, 1),
    ];
    for (const n of [1, 2, 3]) {
      await new Promise((resolve) => setTimeout(resolve, 5));
      await log.append(block(n));
    }
    expect(await Promise.all(readers)).toEqual([
      [1, 2, 3],
      [2, 3],
      [1, 2, 3],
    ]);
    const stop = new AbortController();
    const waiting = (async () => {
      for await (const _given of log.read(at(3), 10, stop.signal)) throw new Error('There is nothing to give');
    })();
    stop.abort();
    await waiting;
    await log.close();
  });

  test(`${name}: lets go of nothing after what it was told`, async () => {
    const log = await (await make()).open();
    for (let n = 1; n <= 100; n += 1) await log.append(block(n));
    const before = log.sizeBytes;
    await log.trim(at(60));
    expect(log.sizeBytes).toBeLessThanOrEqual(before);
    expect(log.end).toBe(at(100));
    expect(await numbersAfter(log, at(60), 100)).toEqual(range(61, 100));
    await log.trim(at(100));
    await log.append(block(101));
    expect(await numbersAfter(log, at(100), 101)).toEqual([101]);
    await log.close();
    await log.close();
  });
}
