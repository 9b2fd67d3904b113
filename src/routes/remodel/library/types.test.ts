import { expectTypeOf, test } from 'vitest';
import { subsMigration } from './fixtures/subs.ts';
import type { Godwit } from './index.ts';

const subs = subsMigration('pick');
type Subscription = {
  id: string;
  customerId: bigint;
  plan: string;
  amount: string;
  startedAt: string | null;
  seats: number | null;
};

/** Never called: only its types are of interest. */
async function typed(godwit: Godwit<{ isTx: true }>): Promise<void> {
  const tx = { isTx: true } as const;
  const made = godwit.write(subs, 7, tx, (m) => m.subscription.insert({ plan: 'gold', amount: '5' }));
  expectTypeOf(made).resolves.toEqualTypeOf<Subscription>();
  const two = godwit.write(subs, 7n, tx, { old: () => 1, new: async (m) => (await m.subscription.list()).length });
  expectTypeOf(two).resolves.toEqualTypeOf<number>();
  await godwit.write(subs, '7', tx, async (m) => {
    expectTypeOf(await m.customer.get()).toEqualTypeOf<{ customerId: bigint; email: string } | undefined>();
    expectTypeOf(m.customer.set).parameter(0).toEqualTypeOf<Partial<{ email: string }>>();
    await m.create({ email: 'a@b' });
    // @ts-expect-error the e-mail is missing
    await m.create({});
    expectTypeOf(m.subscription.delete).parameter(0).toEqualTypeOf<string>();
    expectTypeOf(m.subscription.update).parameter(1).not.toHaveProperty('id');
    expectTypeOf(m.subscription.update).parameter(1).not.toHaveProperty('customerId');
    // @ts-expect-error the plan is missing
    await m.subscription.insert({ amount: '5' });
    // @ts-expect-error the amount is text
    await m.subscription.insert({ plan: 'gold', amount: 5 });
    // @ts-expect-error there is no such list
    await m.order.insert({});
    // @ts-expect-error a root has no insert
    await m.customer.insert({ email: 'x' });
  });
  // @ts-expect-error not the store's transaction
  await godwit.write(subs, 7, { isTx: false }, () => undefined);
  const read = godwit.read(subs, 7, {
    old: (row) => {
      expectTypeOf(row).toEqualTypeOf<
        | {
            customerId: bigint;
            email: string;
            subPlan: string | null;
            subAmount: string | null;
            subRest: string | null;
          }
        | null
        | undefined
      >();
      return 'answer';
    },
    new: () => 'answer',
  });
  expectTypeOf(read).resolves.toEqualTypeOf<string>();
  // @ts-expect-error both sides give the same shape
  await godwit.read(subs, 7, { old: () => 1, new: () => 'answer' }, { tx });
}

test('types follow the definition', () => {
  expectTypeOf(typed).toBeFunction();
});
