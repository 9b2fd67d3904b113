/**
 * One process of the application, in one storm after the other: does what it is told
 * over its IPC channel, through the library, and says what became of it.
 */
import pg from 'pg';
import { createGodwit, type Draft, type Godwit, GodwitError, postgresStore } from '../../src/remodel.ts';
import { type OldRow, oldRowOf, SELECT_OLD } from '../e2e/remodel/old-row.ts';
import { subs } from '../e2e/remodel/subscriptions.fixture.ts';
import type { Outcome } from './checker.ts';
import type { Look, Op } from './person.ts';

export type Order =
  /** The first order of a storm. */
  | { readonly n: number; readonly kind: 'begin'; readonly db: string; readonly relay: boolean; readonly lie?: Lie }
  /** The last one. */
  | { readonly n: number; readonly kind: 'end' }
  | { readonly n: number; readonly kind: 'read'; readonly id: number }
  | {
      readonly n: number;
      readonly kind: 'write';
      readonly parts: readonly { id: number; op: Op }[];
      readonly abort: boolean;
    };

/**
 * What a process does that must be found out, for the test of the storms themselves:
 * it answers from the past, says that a write is done which is not, or that a deletion is.
 */
export type Lie = 'stale' | 'lost' | 'resurrected';

/** One of so many reads or writes is a lie. */
const LIES_EACH = 10;

export type Answer =
  | { readonly n: number; readonly kind: 'read'; readonly look?: Look; readonly from: string }
  | { readonly n: number; readonly kind: 'unread'; readonly why: string }
  | { readonly n: number; readonly kind: 'write'; readonly outcome: Outcome; readonly why?: string }
  | { readonly n: number; readonly kind: 'begun' | 'ended' };

type Begin = Order & { readonly kind: 'begin' };
type Question = Order & { readonly kind: 'read' | 'write' };

let pool: pg.Pool;
let godwit: Godwit<pg.PoolClient>;
let lie: Lie | undefined;
let seenFirst = new Map<number, Look>();
let asked = 0;

async function begin(order: Begin): Promise<void> {
  ({ lie } = order);
  seenFirst = new Map();
  pool = new pg.Pool({ connectionString: order.db, max: 6, connectionTimeoutMillis: 5_000 });
  pool.on('error', () => undefined);
  // As every application should: the loss of a connection fails the statement that needs it, not the process.
  pool.on('connect', (client) => client.on('error', () => undefined));
  for (;;) {
    try {
      godwit = await createGodwit({ store: postgresStore({ pool }), migrations: [subs], relay: order.relay });
      return;
    } catch (error) {
      // The database may be down at this moment: the fault of the storm, not ours.
      if (!(error instanceof GodwitError) || error.disposition !== 'retry') throw error;
    }
  }
}

async function end(): Promise<void> {
  await godwit.close();
  await pool.end();
}

async function write(order: Order & { kind: 'write' }): Promise<{ outcome: Outcome; why?: string }> {
  let client: pg.PoolClient;
  try {
    client = await pool.connect();
  } catch (error) {
    return { outcome: 'failed', why: wordsOf(error) };
  }
  let isCommitting = false;
  let broken = true;
  try {
    await client.query('begin');
    for (const { id, op } of order.parts) await carryOut(client, id, op);
    if (order.abort) {
      await client.query('rollback');
      broken = false;
      return { outcome: 'failed' };
    }
    isCommitting = true;
    await client.query(isLie(order) ? 'rollback' : 'commit');
    broken = false;
    return { outcome: 'done' };
  } catch (error) {
    if (isCommitting) return { outcome: 'unknown', why: wordsOf(error) };
    const isRefusal = error instanceof GodwitError && error.code === 'GW5008';
    return { outcome: isRefusal ? 'refused' : 'failed', why: wordsOf(error) };
  } finally {
    // Whatever is left of the transaction ends with its connection.
    client.release(broken);
  }
}

function isLie(order: Question): boolean {
  if (order.kind === 'read') return lie === 'stale' && ++asked % LIES_EACH === 0;
  if (lie === 'resurrected') return order.parts.some(({ op }) => op.kind === 'delete');
  return lie === 'lost' && ++asked % LIES_EACH === 0;
}

function carryOut(client: pg.PoolClient, id: number, op: Op): Promise<unknown> {
  if (op.kind === 'legacy') {
    return godwit.write(subs, id, client, {
      old: async () => {
        const { rowCount } = await client.query('update customers set email = $2 where customer_id = $1', [
          id,
          op.email,
        ]);
        if (rowCount === 0) throw new GodwitError('GW5008', 'no such customer');
      },
      new: (m) => m.customer.set({ email: op.email }),
    });
  }
  return godwit.write(subs, id, client, (m) => change(m, op));
}

function change(m: Draft<typeof subs>, op: Exclude<Op, { kind: 'legacy' }>): Promise<unknown> {
  switch (op.kind) {
    case 'create':
      return m.create({ email: op.email });
    case 'email':
      return m.customer.set({ email: op.email });
    case 'insert':
      return m.subscription.insert({ id: op.id, plan: op.plan, amount: null, started: null });
    case 'update':
      return m.subscription.update(op.id, { plan: op.plan });
    case 'remove':
      return m.subscription.delete(op.id);
    case 'delete':
      return m.delete();
  }
}

/** The customer, and where it was read: in the old table, from the change on its way, or in the new tables. */
async function read(id: number): Promise<{ look: Look; from: string }> {
  let from = '';
  const look = await godwit.read(subs, id, {
    old: async (row) => {
      from = row === undefined ? 'the old table' : 'the change on its way';
      return lookOf(row === undefined ? await oldRow(id) : row);
    },
    new: async () => {
      from = 'the new tables';
      const { rows } = await pool.query(
        `select c.email, coalesce(json_object_agg(s.id, s.plan) filter (where s.id is not null), '{}') as subs
           from customers_v2 c left join subscriptions s using (customer_id) where c.customer_id = $1 group by c.email`,
        [id],
      );
      return rows[0] as Look;
    },
  });
  return { look, from: `${from} (${knowledge()})` };
}

/** What this process knew of the remodel when it answered, for whoever has to explain a wrong answer. */
function knowledge(): string {
  const { control, ageMs } = godwit.status().remodels[0] ?? {};
  return `epoch ${control?.epoch}, ${control?.phase}, reads ${control?.reads}, ${ageMs} ms old`;
}

async function oldRow(id: number): Promise<OldRow | undefined> {
  const { rows } = await pool.query(`${SELECT_OLD} where customer_id = $1`, [id]);
  return rows[0] && oldRowOf(rows[0]);
}

function lookOf(row: OldRow | null | undefined): Look {
  if (row === null || row === undefined) return undefined;
  const state = subs.up(row);
  return {
    email: String(state['customer']?.[0]?.['email']),
    subs: Object.fromEntries((state['subscription'] ?? []).map((sub) => [String(sub['id']), String(sub['plan'])])),
  };
}

function wordsOf(error: unknown): string {
  return error instanceof Error ? `${(error as { code?: string }).code ?? ''} ${error.message}` : String(error);
}

async function carry(order: Order): Promise<Answer> {
  const { n } = order;
  if (order.kind === 'begin') {
    await begin(order);
    return { n, kind: 'begun' };
  }
  if (order.kind === 'end') {
    await end();
    return { n, kind: 'ended' };
  }
  if (order.kind === 'write') return { n, kind: 'write', ...(await write(order)) };
  try {
    const { look, from } = await read(order.id);
    if (!seenFirst.has(order.id)) seenFirst.set(order.id, look);
    const said = isLie(order) ? seenFirst.get(order.id) : look;
    return { n, kind: 'read', from, ...(said ? { look: said } : {}) };
  } catch (error) {
    return { n, kind: 'unread', why: wordsOf(error) };
  }
}

// What cannot be opened or closed ends the process: a new one is started in its place.
process.on('message', async (order: Order) => process.send?.(await carry(order)));
process.on('disconnect', () => process.exit(0));
