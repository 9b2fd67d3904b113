/** Customers and their subscriptions, as the service writes and reads them. */
import type { Pool } from 'pg';
import { type Customers, customerOf } from '../service/customers.ts';
import { change, nextId } from '../service/journal.ts';

const READ = (tables: string) => `SELECT customer_id AS "customerId", email, name, sub_plan AS "subPlan",
  sub_amount AS "subAmount", sub_started AS "subStarted" FROM ${tables} WHERE customer_id = $1`;
const OLD = 'customers';
const EMAIL = 'UPDATE customers SET email = $2 WHERE customer_id = $1';
const SUBSCRIBE = `UPDATE customers SET sub_plan = $2, sub_amount = $3, sub_started = $4
  WHERE customer_id = $1 AND sub_plan IS NULL`;
const AMOUNT = 'UPDATE customers SET sub_amount = $3 WHERE customer_id = $1 AND sub_plan = $2';
const CANCEL = `UPDATE customers SET sub_plan = NULL, sub_amount = NULL, sub_started = NULL
  WHERE customer_id = $1 AND sub_plan = $2`;

export function customersIn(pool: Pool): Customers {
  const write = (id: bigint, what: string, sql: string, ...more: readonly unknown[]) =>
    change(pool, id, what, async (tx) => (await tx.query(sql, [id, ...more])).rowCount === 1);
  const find = async (tables: string, id: bigint) => customerOf((await pool.query(READ(tables), [id])).rows);
  return {
    create: async (email, name) => {
      const id = await nextId(pool);
      await write(id, 'create', 'INSERT INTO customers (customer_id, email, name) VALUES ($1, $2, $3)', email, name);
      return id;
    },
    changeEmail: (id, email) => write(id, 'email', EMAIL, email),
    subscribe: (id, { plan, amount, started }) => write(id, 'subscribe', SUBSCRIBE, plan, amount, started),
    changeAmount: (id, plan, amount) => write(id, 'amount', AMOUNT, plan, amount),
    cancel: (id, plan) => write(id, 'cancel', CANCEL, plan),
    delete: (id) => write(id, 'delete', 'DELETE FROM customers WHERE customer_id = $1'),
    read: (id) => find(OLD, id),
  };
}
