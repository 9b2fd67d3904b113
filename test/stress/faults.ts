/** What may go wrong with a customer, what a comparison must say of it, and how it is mended. */
import type { Mismatch } from '../../src/kernel/remodel/index.ts';
import type { Hand } from './hand.ts';

export type FaultClass = 'wrong' | 'missing' | 'extra' | 'stale' | 'wrong type';

/** Which customer a fault needs, of those that nobody else writes. `with` and `without`: a plan; `new`: a number not in use. */
export type Needs = 'with' | 'without' | 'new';

export interface Fault {
  readonly name: string;
  readonly class: FaultClass;
  readonly needs: Needs;
  /** Gives what a comparison must say. `other`: one more customer with a plan. */
  inject(hand: Hand, id: number, other: number): Promise<readonly Mismatch[]>;
  /** By the product where it has a way. */
  repair(hand: Hand, id: number, other: number): Promise<void>;
}

const SECOND = { plan: 'second', amount: '7.25', started: '2026-02-02T00:00:00Z' };
const secondOf = (id: number) => `00000000-0000-4000-8000-${String(id).padStart(12, '0')}`;
const thirdOf = (id: number) => `00000000-0000-4000-9000-${String(id).padStart(12, '0')}`;

/** A customer with two subscriptions, the old table brought up to date: one is in its columns, one in `sub_rest`. */
async function withTwo(hand: Hand, id: number): Promise<void> {
  await hand.write(id, async (m) => {
    await m.customer.set({ email: emailOf(id) });
    await m.subscription.insert({ id: secondOf(id), ...SECOND });
  });
}

const emailOf = (id: number) => `quiet${id}@example.com`;

const differs = (id: number, ...columns: string[]): readonly Mismatch[] => [
  { identity: String(id), kind: 'different', columns },
];
const is = (id: number, kind: Exclude<Mismatch['kind'], 'different'>): readonly Mismatch[] => [
  { identity: String(id), kind, columns: [] },
];

const PUT_BACK = 'insert into customers select * from jsonb_populate_record(null::customers, $1::jsonb)';

export const FAULTS: readonly Fault[] = [
  {
    name: 'another amount in the old row',
    class: 'wrong',
    needs: 'with',
    inject: async (hand, id) => {
      await withTwo(hand, id);
      await hand.pastGuard('update customers set sub_amount = sub_amount + 0.01 where customer_id = $1', [id]);
      return differs(id, 'subAmount');
    },
    repair: (hand, id) => hand.touch(id),
  },
  {
    name: 'another e-mail in the root row',
    class: 'wrong',
    needs: 'with',
    inject: async (hand, id) => {
      await withTwo(hand, id);
      await hand.raw("update customers_v2 set email = email || '!' where customer_id = $1", [id]);
      return differs(id, 'email');
    },
    repair: (hand, id) => hand.write(id, (m) => m.customer.set({ email: emailOf(id) })),
  },
  {
    name: 'another plan in a row of the list',
    class: 'wrong',
    needs: 'with',
    inject: async (hand, id) => {
      await withTwo(hand, id);
      await hand.raw("update subscriptions set plan = 'wrong' where id = $1", [secondOf(id)]);
      return differs(id, 'subRest');
    },
    repair: (hand, id) => hand.write(id, (m) => m.subscription.update(secondOf(id), { plan: SECOND.plan })),
  },
  {
    name: 'a microsecond in a row of the list',
    class: 'wrong',
    needs: 'with',
    inject: async (hand, id) => {
      await withTwo(hand, id);
      await hand.raw(
        "update subscriptions set started = started + interval '1 microsecond' where customer_id = $1 and id <> $2",
        [id, secondOf(id)],
      );
      return differs(id, 'subStarted');
    },
    repair: (hand, id) => hand.touch(id),
  },
  {
    name: 'a row of the list with another customer',
    class: 'wrong',
    needs: 'with',
    inject: async (hand, id, other) => {
      await withTwo(hand, id);
      await hand.raw('update subscriptions set customer_id = $2 where id = $1', [secondOf(id), other]);
      return [...differs(id, 'subRest'), ...differs(other, 'subRest')];
    },
    // The library lets nobody take a row from another: it is deleted there and inserted here.
    repair: async (hand, id, other) => {
      await hand.write(other, (m) => m.subscription.delete(secondOf(id)));
      await hand.write(id, (m) => m.subscription.insert({ id: secondOf(id), ...SECOND }));
    },
  },
  {
    name: 'an old row that is gone',
    class: 'missing',
    needs: 'with',
    inject: async (hand, id) => {
      await withTwo(hand, id);
      await hand.pastGuard('delete from customers where customer_id = $1', [id]);
      return is(id, 'extra');
    },
    repair: (hand, id) => hand.touch(id),
  },
  {
    name: 'new rows that are gone',
    class: 'missing',
    needs: 'with',
    inject: async (hand, id) => {
      await withTwo(hand, id);
      await hand.raw('delete from customers_v2 where customer_id = $1', [id]);
      await hand.raw('delete from subscriptions where id = $1', [secondOf(id)]);
      await hand.raw('delete from subscriptions where customer_id = $1', [id]);
      return is(id, 'missing');
    },
    repair: (hand) => hand.backfill(),
  },
  {
    name: 'a root row that is gone, its list left',
    class: 'missing',
    needs: 'with',
    inject: async (hand, id) => {
      await withTwo(hand, id);
      await hand.raw('delete from customers_v2 where customer_id = $1', [id]);
      return is(id, 'missing');
    },
    repair: (hand, id) => hand.raw('insert into customers_v2 values ($1, $2)', [id, emailOf(id)]),
  },
  {
    name: 'a row of the list that is gone',
    class: 'missing',
    needs: 'with',
    inject: async (hand, id) => {
      await withTwo(hand, id);
      await hand.raw('delete from subscriptions where id = $1', [secondOf(id)]);
      return differs(id, 'subRest');
    },
    repair: (hand, id) => hand.write(id, (m) => m.subscription.insert({ id: secondOf(id), ...SECOND })),
  },
  {
    name: 'an old row of nobody',
    class: 'extra',
    needs: 'new',
    inject: async (hand, id) => {
      await hand.pastGuard("insert into customers (customer_id, email) values ($1, 'nobody')", [id]);
      return is(id, 'missing');
    },
    repair: async (hand, id) => {
      await hand.backfill();
      await hand.write(id, (m) => m.delete());
    },
  },
  {
    name: 'a root row of nobody',
    class: 'extra',
    needs: 'new',
    inject: async (hand, id) => {
      await hand.raw("insert into customers_v2 values ($1, 'nobody')", [id]);
      return is(id, 'extra');
    },
    repair: (hand, id) => hand.write(id, (m) => m.delete()),
  },
  {
    name: 'a row of the list of nobody',
    class: 'extra',
    needs: 'new',
    inject: async (hand, id) => {
      await hand.raw("insert into subscriptions (id, customer_id, plan) values ($1, $2, 'nobody')", [thirdOf(id), id]);
      return is(id, 'extra');
    },
    repair: async (hand, id) => {
      await hand.write(id, (m) => m.create({ email: 'nobody' }));
      await hand.write(id, (m) => m.delete());
    },
  },
  {
    name: 'a row too many in the list',
    class: 'extra',
    needs: 'with',
    inject: async (hand, id) => {
      await withTwo(hand, id);
      await hand.raw(
        "insert into subscriptions (id, customer_id, plan, started) values ($1, $2, 'third', '2026-03-03Z')",
        [thirdOf(id), id],
      );
      return differs(id, 'subRest');
    },
    repair: (hand, id) => hand.write(id, (m) => m.subscription.delete(thirdOf(id))),
  },
  {
    name: 'an old row come back from the dead',
    class: 'extra',
    needs: 'with',
    inject: async (hand, id) => {
      await withTwo(hand, id);
      const image = await hand.imageOf(id);
      await hand.write(id, (m) => m.delete());
      await hand.pastGuard(PUT_BACK, [image]);
      return is(id, 'resurrected');
    },
    repair: async (hand, id) => {
      await hand.touch(id);
      await hand.write(id, async (m) => {
        await m.create({ email: emailOf(id) });
        await m.subscription.insert({ plan: 'again', started: '2026-01-01T00:00:00Z' });
      });
    },
  },
  {
    name: 'an old row as it was a change ago',
    class: 'stale',
    needs: 'with',
    inject: async (hand, id) => {
      await withTwo(hand, id);
      const image = await hand.imageOf(id);
      await hand.write(id, async (m) => {
        await m.customer.set({ email: `later${id}@example.com` });
        await m.subscription.update(secondOf(id), { plan: 'later' });
      });
      await hand.pastGuard(
        `update customers c set email = i.email, sub_rest = i.sub_rest
           from jsonb_populate_record(null::customers, $1::jsonb) i where c.customer_id = i.customer_id`,
        [image],
      );
      return differs(id, 'email', 'subRest');
    },
    repair: (hand, id) => hand.touch(id),
  },
  {
    name: 'a change thrown away before the relay saw it',
    class: 'stale',
    needs: 'with',
    inject: async (hand, id) => {
      await withTwo(hand, id);
      const thrown = `thrown${id}@example.com`;
      await hand.write(
        id,
        (m) => m.customer.set({ email: thrown }),
        (client) =>
          client.query("delete from godwit.outbox where remodel = 'subs' and identity = $1::text", [String(id)]),
      );
      return differs(id, 'email');
    },
    repair: (hand, id) => hand.touch(id),
  },
  {
    name: 'a number for a text in JSON',
    class: 'wrong type',
    needs: 'with',
    inject: async (hand, id) => {
      await withTwo(hand, id);
      await hand.pastGuard(
        `update customers set sub_rest = jsonb_set(sub_rest, '{others,0,amount}',
           to_jsonb((sub_rest #>> '{others,0,amount}')::numeric)) where customer_id = $1`,
        [id],
      );
      return differs(id, 'subRest');
    },
    repair: (hand, id) => hand.touch(id),
  },
  {
    name: 'null of JSON for NULL',
    class: 'wrong type',
    needs: 'without',
    inject: async (hand, id) => {
      await hand.pastGuard("update customers set sub_rest = 'null' where customer_id = $1", [id]);
      return differs(id, 'subRest');
    },
    repair: (hand, id) => hand.touch(id),
  },
  {
    name: 'an empty text for NULL',
    class: 'wrong type',
    needs: 'without',
    inject: async (hand, id) => {
      await hand.pastGuard("update customers set sub_plan = '' where customer_id = $1", [id]);
      return differs(id, 'subPlan');
    },
    repair: (hand, id) => hand.touch(id),
  },
];
