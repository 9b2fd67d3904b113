/** Everything at once on few identities, so that all pairs of transactions meet; then every identity is as its last writers left it. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type PostgresServer, startPostgres } from '../../../../test/servers/postgres.ts';
import { isRetryable } from '../../../kernel/errors.ts';
import {
  defineMigration,
  integer,
  type Model,
  pgTable,
  type Row,
  type State,
  seededRandom,
  text,
  uuid,
} from '../../../kernel/remodel/index.ts';
import { makeWorld, type World } from './fixtures/subs.ts';

const IDENTITIES = 12;
const WRITES = 150;
const WRITERS = 4;
const never = new AbortController().signal;

interface New {
  readonly customer: { readonly customerId: number; readonly email: string; readonly plan: string | null };
  readonly count: readonly { readonly n: number }[];
}

/** `email` is the library's to write, `plan` that of somebody past it; `n` counts the library's writes. */
const model: Model = defineMigration({
  name: 'storm',
  key: 'customerId',
  from: pgTable('customers', {
    customerId: integer(),
    email: text(),
    plan: text().nullable(),
    n: integer().nullable(),
  }),
  to: {
    customer: pgTable('customers_v2', { customerId: integer(), email: text(), plan: text().nullable() }),
    count: pgTable('counts', { id: uuid(), customerId: integer(), n: integer() }, { many: true }),
  },
  up: ({
    customerId,
    email,
    plan,
    n,
  }: {
    customerId: number;
    email: string;
    plan: string | null;
    n: number | null;
  }) => ({
    customer: { customerId, email, plan },
    count: n === null ? [] : [{ customerId, n }],
  }),
  down: ({ customer, count }: New) => ({ ...customer, n: count[0]?.n ?? null }),
  inverse: { policy: 'block' },
});
const ddl = 'create table customers (customer_id int primary key, email text not null, plan text, n int)';

let server: PostgresServer;
beforeAll(async () => {
  server = await startPostgres({ fsync: false });
});
afterAll(() => server?.stop());

/** What an identity must be in the end; undefined: gone. */
type Expected = Map<number, { email: string; n: number | null; plan: string | null } | undefined>;

class Storm {
  readonly world: World;
  readonly random: () => number;
  readonly expected: Expected = new Map();
  writing = WRITERS + 1;

  constructor(world: World, seed: number) {
    this.world = world;
    this.random = seededRandom(seed);
    for (let id = 1; id <= 100; id += 1)
      this.expected.set(id, { email: `c${id}@x`, n: null, plan: id % 2 === 0 ? 'gold' : null });
  }

  below(most: number): number {
    return Math.floor(this.random() * most);
  }

  /** One write of the library. What it leaves is noted while its lock is held. */
  async write(): Promise<void> {
    const { world, expected } = this;
    const id = 1 + this.below(IDENTITIES);
    const mayDelete = id > IDENTITIES / 2;
    await world.inTx(async (tx) => {
      const entered = await world.store.enter(model, tx, String(id));
      const old = entered.owner === 'old' || entered.owner === 'adopt' ? await entered.readOld() : undefined;
      const state = entered.owner === 'new' ? await entered.readNew() : old && model.up(old);
      const was = expected.get(id);
      expect(state !== undefined, `identity ${id}, owner ${entered.owner}`).toBe(was !== undefined);
      if (mayDelete && was !== undefined && this.random() < 0.3) {
        if (entered.owner === 'old') await entered.putOld(undefined);
        else await entered.deleteNew();
        expected.set(id, undefined);
        return;
      }
      const seen = (state?.['count']?.[0]?.['n'] ?? null) as number | null;
      expect(seen, `identity ${id}, owner ${entered.owner}`).toBe(was?.n ?? null);
      const next = { email: `w${this.below(1e6)}@x`, n: (seen ?? 0) + 1 };
      const wanted = merged(id, state, next);
      if (entered.owner === 'old') await entered.putOld(model.down(wanted));
      else if (state === undefined) await entered.adopt(wanted);
      else {
        if (entered.owner === 'adopt') await entered.adopt(state);
        await entered.patchNew('customer', undefined, { email: next.email });
        await entered.putNew('count', wanted['count'] as Row[]);
      }
      expected.set(id, { plan: was?.plan ?? null, ...next });
    });
  }

  /** A write past the library, of a column that only it writes, and of identities that nobody deletes. */
  async writePast(n: number): Promise<void> {
    const id = 1 + this.below(IDENTITIES / 2);
    const tx = await this.world.pool.connect();
    try {
      await tx.query('begin');
      await tx.query('update customers set plan = $2 where customer_id = $1', [id, `raw${n}`]);
      const was = this.expected.get(id);
      if (was) was.plan = `raw${n}`;
      await tx.query('commit');
    } finally {
      tx.release();
    }
  }

  async until(work: () => Promise<unknown>): Promise<void> {
    while (this.writing > 0) await passing(work);
  }

  async times(n: number, work: (i: number) => Promise<unknown>): Promise<void> {
    try {
      for (let i = 0; i < n; i += 1) await passing(() => work(i));
    } finally {
      this.writing -= 1;
    }
  }

  /** Ramps up and down, adopts and releases, as no operator would. */
  async operate(): Promise<void> {
    const { store } = this.world;
    const dice = this.random();
    if (dice < 0.2) await this.world.change({ ramp: this.random() < 0.5 ? this.below(10_001) : 10_000 });
    else if (dice < 0.5) await store.release(model, 1 + this.below(IDENTITIES));
    else
      await store.adopt(
        model,
        Array.from({ length: IDENTITIES }, (_, i) => String(i + 1)),
      );
  }
}

function merged(id: number, state: State | undefined, next: { email: string; n: number }): State {
  const [root] = state?.['customer'] ?? [];
  const [count] = state?.['count'] ?? [];
  const fresh = model.up({ customerId: id, email: next.email, plan: (root?.['plan'] as string) ?? null, n: next.n });
  const [made] = fresh['count'] as readonly Row[];
  return { customer: fresh['customer'] as Row[], count: [{ ...(count ?? (made as Row)), n: next.n }] };
}

async function passing(work: () => Promise<unknown>): Promise<void> {
  try {
    await work();
  } catch (error) {
    if (!isRetryable(error)) throw error;
  }
}

async function brought(world: World): Promise<Expected> {
  const { rows } = await world.pool.query('select customer_id as id, email, n, plan from customers order by 1');
  return new Map(rows.map(({ id, ...row }) => [id as number, row]));
}

const present = (expected: Expected) =>
  new Map([...expected].filter(([, row]) => row !== undefined).sort(([a], [b]) => a - b));

test.each(process.env['GODWIT_STORM_SEEDS']?.split(',').map(Number) ?? [1, 2, 3])(
  'seed %i: nothing lost, nothing back from the dead, and a proof that agrees',
  async (seed) => {
    const world = await makeWorld(server, { model, ddl });
    const storm = new Storm(world, seed);
    try {
      await Promise.all([
        ...Array.from({ length: WRITERS }, () => storm.times(WRITES, () => storm.write())),
        storm.times(WRITES, (n) => storm.writePast(n)),
        storm.until(() => world.store.relay(model, 5)),
        storm.until(() => world.store.relay(model, 3, ['1', '2', '3', '7', '8', '9'])),
        storm.until(() => world.store.settleDirty(model, 5)),
        storm.until(() => storm.operate()),
      ]);
      await world.drain();
      expect(await world.store.backlog(model)).toMatchObject({ pending: 0, dirty: 0, quarantined: 0 });
      expect(await brought(world)).toEqual(present(storm.expected));
      expect(await world.store.verify(model, { byValue: true, signal: never })).toMatchObject({
        extra: 0,
        different: 0,
      });
      await world.change({ ramp: 0 });
      while ((await world.store.release(model, 100)) !== 0);
      expect(await brought(world)).toEqual(present(storm.expected));
    } finally {
      await world.pool.end();
    }
  },
);
