import { expect, test } from 'vitest';
import type { Applied, LogApplier, LogBlock } from '../../src/kernel/ports.ts';
import type { Position } from '../../src/kernel/position.ts';

/** Where an applier begins. */
export interface ApplierStart {
  readonly position: Position;
  readonly memory: unknown;
}

export interface LogApplierSubject {
  readonly start: ApplierStart;
  open(from: ApplierStart): Promise<LogApplier>;
  /** Changes documents of the source: new ones, changed ones, some that go again. */
  changeData(): Promise<void>;
  /** Changes the source's structure, several times, with data changes between. */
  changeStructure(): Promise<void>;
  /** The log since the start, as one block. */
  block(): Promise<LogBlock>;
  /** The same block with an entry at its end that cannot be carried. */
  spoiled(block: LogBlock): LogBlock;
  source(): Promise<unknown>;
  target(): Promise<unknown>;
  /** The target as of one of its own positions. */
  targetAsOf(position: Position): Promise<unknown>;
}

const never = new AbortController().signal;

async function applyAll(
  applier: LogApplier,
  block: LogBlock,
  seen: (step: Applied) => void = () => undefined,
): Promise<Applied[]> {
  const steps: Applied[] = [];
  for await (const step of applier.apply(block, never)) {
    steps.push(step);
    seen(step);
  }
  return steps;
}

/** What `LogApplier` promises. */
export function describeLogApplierContract(name: string, make: () => Promise<LogApplierSubject>): void {
  test(`${name}: carries a block out; its steps rise to its end and count every entry once`, async () => {
    const subject = await make();
    await subject.changeData();
    const block = await subject.block();
    const steps = await applyAll(await subject.open(subject.start), block);
    expect(await subject.target()).toEqual(await subject.source());
    expect(steps.at(-1)!.position).toBe(block.last);
    expect(steps.reduce((sum, step) => sum + step.entries, 0)).toBe(block.count);
    expect(steps.reduce((sum, step) => sum + step.writes, 0)).toBeGreaterThan(0);
    let last = subject.start.position;
    for (const step of steps) {
      expect(step.position >= last).toBe(true);
      expect(step.restartFrom <= step.position).toBe(true);
      last = step.position;
    }
  });

  test(`${name}: a block may come again, to the same applier and to one that knows of nothing`, async () => {
    const subject = await make();
    await subject.changeData();
    const block = await subject.block();
    const applier = await subject.open(subject.start);
    await applyAll(applier, block);
    const [again] = await applyAll(applier, block);
    expect(again).toMatchObject({ position: block.last, entries: 0, writes: 0 });
    await applyAll(await subject.open(subject.start), block);
    expect(await subject.target()).toEqual(await subject.source());
  });

  test(`${name}: what a step tells is visible at the target from the position it names`, async () => {
    const subject = await make();
    await subject.changeData();
    const expected = await subject.source();
    const steps = await applyAll(await subject.open(subject.start), await subject.block());
    expect(await subject.targetAsOf(steps.at(-1)!.targetPosition)).toEqual(expected);
  });

  test(`${name}: from every step another process can go on, with what the step said`, async () => {
    const subject = await make();
    await subject.changeData();
    await subject.changeStructure();
    await subject.changeData();
    const block = await subject.block();
    const expected = await subject.source();
    // Ends after each first step, as by a crash, until nothing is left.
    let from = subject.start;
    let restarts = 0;
    while (from.position < block.last) {
      for await (const step of (await subject.open(from)).apply(block, never)) {
        expect(step.restartFrom <= step.position).toBe(true);
        from = { position: step.position, memory: step.memory === undefined ? from.memory : step.memory };
        break;
      }
      restarts += 1;
      expect(restarts).toBeLessThan(100);
    }
    expect(restarts, 'a change of structure is a step of its own').toBeGreaterThan(3);
    expect(await subject.target()).toEqual(expected);
  });

  test(`${name}: what can never succeed is thrown, and nothing of it counts as applied`, async () => {
    const subject = await make();
    await subject.changeData();
    const block = subject.spoiled(await subject.block());
    const positions: Position[] = [];
    const work = applyAll(await subject.open(subject.start), block, (step) => positions.push(step.position));
    await expect(work).rejects.toMatchObject({ code: expect.stringMatching(/^GW5/) });
    for (const position of positions) expect(position < block.last).toBe(true);
  });

  test(`${name}: a stop is heeded`, async () => {
    const subject = await make();
    await subject.changeData();
    const block = await subject.block();
    const stop = new AbortController();
    const applier = await subject.open(subject.start);
    const work = (async () => {
      stop.abort();
      for await (const _step of applier.apply(block, stop.signal)) break;
    })();
    await expect(work).rejects.toMatchObject({ code: 'GW8001' });
    await applyAll(await subject.open(subject.start), block);
    expect(await subject.target()).toEqual(await subject.source());
  });
}
