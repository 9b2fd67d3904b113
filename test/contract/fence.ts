import { expect, test } from 'vitest';
import type { Fence } from '../../src/kernel/ports.ts';

export interface FenceSubject {
  /** Another object for the same fence and memory, as another process makes it. */
  open(): Fence;
  /** A write of the business, over a connection that is open already; rejects when it is refused. */
  write(): Promise<unknown>;
  /** A write of somebody else; undefined where the fence is known to hold everybody. */
  readonly neighbour: (() => Promise<unknown>) | undefined;
  /** Who may do what, and whatever else the fence may touch. */
  privileges(): Promise<unknown>;
  /** False for a fence that leaves it to people to stop the writers. */
  readonly refuses: boolean;
}

const never = new AbortController().signal;

/** What `Fence` promises. */
export function describeFenceContract(name: string, make: () => Promise<FenceSubject>): void {
  test(`${name}: refuses the business's writes while it is up, and only those`, async () => {
    const subject = await make();
    await subject.write();
    const fence = subject.open();
    await fence.raise(never);
    if (subject.refuses) await expect(subject.write()).rejects.toThrow();
    else await subject.write();
    await subject.neighbour?.();
    await fence.lower(never);
    await subject.write();
  });

  test(`${name}: may be raised again and lowered again, also by another process, and gives back exactly what it took`, async () => {
    const subject = await make();
    const before = await subject.privileges();
    await subject.open().raise(never);
    await subject.open().raise(never);
    if (subject.refuses) await expect(subject.write()).rejects.toThrow();
    await subject.open().lower(never);
    expect(await subject.privileges()).toEqual(before);
    await subject.write();
    await subject.open().lower(never);
    expect(await subject.privileges()).toEqual(before);
    await subject.open().raise(never);
    if (subject.refuses) await expect(subject.write()).rejects.toThrow();
    await subject.open().lower(never);
    expect(await subject.privileges()).toEqual(before);
  });

  test(`${name}: lowering what was never raised takes nothing from anybody`, async () => {
    const subject = await make();
    const before = await subject.privileges();
    await subject.open().lower(never);
    expect(await subject.privileges()).toEqual(before);
    await subject.write();
  });

  test(`${name}: no write that began later than raise returned succeeds, whoever is in the middle of writing`, async () => {
    const subject = await make();
    let raised = false;
    let late = 0;
    let going = true;
    const writers = Array.from({ length: 4 }, async () => {
      while (going) {
        const after = raised;
        const ok = await subject.write().then(
          () => true,
          () => false,
        );
        if (after && ok) late += 1;
      }
    });
    await new Promise((resolve) => setTimeout(resolve, 100));
    await subject.open().raise(never);
    raised = true;
    await new Promise((resolve) => setTimeout(resolve, 200));
    going = false;
    await Promise.all(writers);
    if (subject.refuses) expect(late).toBe(0);
    await subject.open().lower(never);
  });
}
