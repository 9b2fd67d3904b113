import { expect, test } from 'vitest';
import { OnDemand } from './on-demand.ts';

function made() {
  const closed: number[] = [];
  const losses: (() => void)[] = [];
  let count = 0;
  let fails = false;
  const onDemand = new OnDemand<number>({
    open: async () => {
      if (fails) throw new Error('nobody is there');
      count += 1;
      return count;
    },
    lost: (open) =>
      new Promise<void>((resolve) => {
        losses[open] = resolve;
      }),
    close: async (open) => void closed.push(open),
  });
  const fail = (now: boolean) => {
    fails = now;
  };
  return { onDemand, closed, fail, lose: (open: number) => losses[open]?.() };
}

test('opened once, and again when it was lost', async () => {
  const { onDemand, lose, closed } = made();
  expect(await Promise.all([onDemand.get(), onDemand.get()])).toEqual([1, 1]);
  lose(1);
  await new Promise(setImmediate);
  expect(await onDemand.get()).toBe(2);
  await onDemand.close();
  expect(closed).toEqual([2]);
});

test('a failure is told, and tried again by the next call', async () => {
  const { onDemand, fail, closed } = made();
  fail(true);
  await expect(onDemand.get()).rejects.toThrow('nobody');
  fail(false);
  expect(await onDemand.get()).toBe(1);
  await onDemand.close();
  expect(closed).toEqual([1]);
});

test('what was never opened is not closed', async () => {
  const { onDemand, closed } = made();
  await onDemand.close();
  expect(closed).toEqual([]);
});
