import { expect, test } from 'vitest';
import type { Entered, Row } from '../../../kernel/remodel/index.ts';
import { DraftMaker } from './draft.ts';
import { subsMigration } from './fixtures/subs.ts';
import { MemoryEditor } from './memory-editor.ts';
import type { Draft } from './types.ts';

const OLD: Row = { customerId: 7n, email: 'a@b', subPlan: 'gold', subAmount: '5', subRest: null };
const ID = '00000000-0000-4000-8000-00000000000a';
type Subs = ReturnType<typeof subsMigration>;

/** A draft on the state of an old row, without the store that `finish` would write to. */
function draftOf(old: Row | undefined, policy: 'pick' | 'block' | 'overflow' = 'pick') {
  const model = subsMigration(policy);
  const entered = undefined as unknown as Entered;
  const editor = new MemoryEditor({ model, identity: '7', entered, old, mayAdopt: true });
  const maker = new DraftMaker(model, '7', async () => ({ editor, didFirst: false }));
  return { model, maker, m: maker.make() as unknown as Draft<Subs> };
}
const refused = (message: RegExp) =>
  expect.objectContaining({ code: 'GW5008', message: expect.stringMatching(message) });

test('operations see what those before them did', async () => {
  const { m } = draftOf(OLD);
  await m.customer.set({ email: 'c@d' });
  const made = await m.subscription.insert({ id: ID.toUpperCase(), plan: 'tea', amount: '1' });
  expect(made).toEqual({ id: ID, customerId: 7n, plan: 'tea', amount: '1', startedAt: null, seats: null });
  await m.subscription.update(ID.toUpperCase(), { seats: 3, plan: undefined as unknown as string });
  const rows = await m.subscription.list();
  expect(rows).toHaveLength(2);
  expect(rows[1]).toEqual({ ...made, seats: 3 });
  expect(await m.customer.get()).toEqual({ customerId: 7n, email: 'c@d' });
  expect(await m.subscription.delete(rows[0]?.id as string)).toBe(true);
  expect(await m.subscription.delete(rows[0]?.id as string)).toBe(false);
  expect(await m.delete()).toBe(true);
  expect(await m.customer.get()).toBeUndefined();
  expect(await m.delete()).toBe(false);
  await m.create({ email: 'e@f' });
  expect(await m.subscription.list()).toEqual([]);
});

test('the id of a first row is the one that it will have when it is read back from the old table', async () => {
  const { m, model } = draftOf({ ...OLD, subPlan: null, subAmount: null });
  const made = await m.subscription.insert({ plan: 'tea', amount: '1' });
  const state = { customer: [(await m.customer.get()) as Row], subscription: await m.subscription.list() };
  expect(model.up(model.down(state))['subscription']).toEqual([made]);
  const second = await m.subscription.insert({ plan: 'tea', amount: '1' });
  expect(second.id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7/);
});

test('calls that do not fit are refused by name, without values', async () => {
  const { m } = draftOf(OLD);
  const loose = m as unknown as Record<string, Record<string, (...args: unknown[]) => Promise<unknown>>>;
  const cases: [() => Promise<unknown> | undefined, RegExp][] = [
    [() => m.subscription.update(ID, { plan: 'x' }), /subscription has no such row/],
    [() => loose['subscription']?.['insert']?.({ plan: 'x', amount: 5 }), /amount .* numeric.* given a number/],
    [() => loose['subscription']?.['insert']?.({ plan: 'x' }), /lacks amount/],
    [() => loose['subscription']?.['insert']?.({ plan: 'x', amount: '1', colour: 1 }), /no column colour/],
    [() => loose['subscription']?.['insert']?.({ plan: 'x', amount: '1', customerId: 8n }), /another customerId/],
    [() => loose['subscription']?.['update']?.(ID, { customerId: 8n }), /customerId tells the rows/],
    [() => loose['subscription']?.['update']?.('nonsense-id', { plan: 'x' }), /id .*no UUID/],
    [() => loose['customer']?.['set']?.({ email: null }), /email of customer may not be null/],
    [() => m.create({ email: 'x@y' }), /exists/],
  ];
  for (const [call, message] of cases) {
    const fresh = draftOf(OLD);
    Object.assign(loose, fresh.m);
    await expect(call()).rejects.toEqual(refused(message));
    await expect(fresh.maker.settled()).rejects.toEqual(refused(message));
  }
  await expect(draftOf(undefined).m.subscription.insert({ plan: 'x', amount: '1' })).rejects.toEqual(
    refused(/`create` it first/),
  );
});

test('a failure nobody awaited fails the write, and nothing is done after it', async () => {
  const { m, maker } = draftOf(OLD);
  void m.subscription.update(ID, { plan: 'x' });
  void m.customer.set({ email: 'after' });
  await expect(maker.settled()).rejects.toEqual(refused(/no such row/));
  await expect(m.customer.get()).rejects.toEqual(refused(/after its write had ended/));
});
