/** Customers and their subscriptions, as the service writes and reads them. */
import type { Pool } from 'pg';
import { type Customers, customerOf, type Joined } from '../service/customers.ts';
import { change, nextId } from '../service/journal.ts';
import { falseIfMissing, idOf, type SubsGodwit, type SubsWork, subs } from './subs.ts';

const READ = (tables: string) => `SELECT customer_id AS "customerId", email, name, sub_plan AS "subPlan",
  sub_amount AS "subAmount", sub_started AS "subStarted" FROM ${tables} WHERE customer_id = $1`;
const OLD = 'customers';
const NEW =
  'customers_v2 LEFT JOIN subscriptions s (customer_id, id, sub_plan, sub_amount, sub_started) USING (customer_id)';
const MOST = Number(process.env['SUBSCRIPTIONS'] ?? 1);

export function customersIn(pool: Pool, godwit: SubsGodwit): Customers {
  const write = (id: bigint, what: string, work: SubsWork) =>
    change(pool, id, what, (tx) => godwit.write(subs, id, tx, work)).catch(falseIfMissing);
  const find = async (tables: string, id: bigint, row?: Joined | null) =>
    customerOf(row === undefined ? (await pool.query(READ(tables), [id])).rows : row ? [row] : []);
  return {
    create: async (email, name) => {
      const id = await nextId(pool);
      await write(id, 'create', (m) => m.create({ email, name }));
      return id;
    },
    changeEmail: (id, email) => write(id, 'email', (m) => m.customer.set({ email })),
    subscribe: (id, one) =>
      write(id, 'subscribe', async (m) => (await m.subscription.list()).length < MOST && m.subscription.insert(one)),
    changeAmount: (id, plan, amount) =>
      write(id, 'amount', async (m) => m.subscription.update(await idOf(m, plan), { amount })),
    cancel: (id, plan) => write(id, 'cancel', async (m) => m.subscription.delete(await idOf(m, plan))),
    delete: (id) => write(id, 'delete', (m) => m.delete()),
    read: (id) => godwit.read(subs, id, { old: (row) => find(OLD, id, row), new: () => find(NEW, id) }),
  };
}
