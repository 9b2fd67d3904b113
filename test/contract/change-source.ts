import { expect, test } from 'vitest';
import type { ChangeSource, LogBlock } from '../../src/kernel/ports.ts';
import type { Position } from '../../src/kernel/position.ts';

export interface ChangeSourceSubject {
  readonly source: ChangeSource;
  /** Writes numbers, one acknowledged write after another. */
  write(numbers: readonly number[]): Promise<void>;
  /** The numbers whose writes a block holds, in its order. */
  numbersIn(block: LogBlock): number[];
  /** A position that the log does not reach back to. */
  readonly lost: Position;
}

const never = new AbortController().signal;
const range = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => from + i);

async function numbersAfter(
  subject: ChangeSourceSubject,
  after: Position,
  until: number,
): Promise<{ numbers: number[]; blocks: LogBlock[] }> {
  const stop = new AbortController();
  const numbers: number[] = [];
  const blocks: LogBlock[] = [];
  for await (const block of subject.source.stream(after, stop.signal)) {
    blocks.push({ ...block, bytes: Buffer.from(block.bytes) });
    numbers.push(...subject.numbersIn(block));
    if (numbers.at(-1) === until) stop.abort();
  }
  return { numbers, blocks };
}

/** What `ChangeSource` promises. */
export function describeChangeSourceContract(name: string, make: () => Promise<ChangeSourceSubject>): void {
  test(`${name}: every entry after a position, in order, none missing, none twice`, async () => {
    const subject = await make();
    await subject.write(range(1, 5));
    const from = await subject.source.mark(never);
    const writing = subject.write(range(6, 205));
    const { numbers, blocks } = await numbersAfter(subject, from, 205);
    await writing;
    expect(numbers).toEqual(range(6, 205));
    let last = from;
    for (const block of blocks) {
      expect(block.first > last).toBe(true);
      expect(block.last >= block.first).toBe(true);
      expect(block.count).toBeGreaterThan(0);
      last = block.last;
    }
  });

  test(`${name}: goes on after the last block of an earlier stream`, async () => {
    const subject = await make();
    const from = await subject.source.mark(never);
    await subject.write([1, 2, 3]);
    const { blocks } = await numbersAfter(subject, from, 3);
    await subject.write([4, 5]);
    const { numbers } = await numbersAfter(subject, blocks.at(-1)!.last, 5);
    expect(numbers).toEqual([4, 5]);
  });

  test(`${name}: a mark lies at or after every write acknowledged before it, and before every later one`, async () => {
    const subject = await make();
    const first = await subject.source.mark(never);
    await subject.write([1]);
    const mark = await subject.source.mark(never);
    await subject.write([2]);
    expect(mark > first).toBe(true);
    const { numbers, blocks } = await numbersAfter(subject, mark, 2);
    expect(numbers).toEqual([2]);
    expect(blocks[0]!.first > mark).toBe(true);
    expect((await numbersAfter(subject, first, 2)).numbers).toEqual([1, 2]);
  });

  test(`${name}: the horizon can be streamed from; before it history is lost, and said so`, async () => {
    const subject = await make();
    const horizon = await subject.source.horizon(never);
    const mark = await subject.source.mark(never);
    expect(horizon <= mark).toBe(true);
    await subject.write([1]);
    const { numbers } = await numbersAfter(subject, horizon, 1);
    expect(numbers.at(-1)).toBe(1);
    const lost = (async () => {
      for await (const _block of subject.source.stream(subject.lost, never)) throw new Error('A hole was passed over');
    })();
    await expect(lost).rejects.toMatchObject({ code: 'GW4001' });
  });

  test(`${name}: a stop ends a stream that waits, quietly`, async () => {
    const subject = await make();
    const stop = new AbortController();
    setTimeout(() => stop.abort(), 300);
    for await (const _block of subject.source.stream(await subject.source.mark(never), stop.signal)) {
      // Entries that say nothing of us may come.
    }
    expect(stop.signal.aborted).toBe(true);
  });
}
