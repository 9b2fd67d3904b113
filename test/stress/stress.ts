/**
 * Comparisons of both models while an application writes as fast as it is
 * told to: none may raise a false alarm, and each must find the fault that was
 * injected before it.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type pg from 'pg';
import type { Mismatch } from '../../src/kernel/remodel/index.ts';
import { createGodwit, postgresStore } from '../../src/remodel.ts';
import type { RemodelResult, VerifyReport } from '../../src/routes/remodel/api.ts';
import { subs } from '../e2e/remodel/subscriptions.fixture.ts';
import { answerOf, godwit, makeCustomers, peopleIn, poolOf } from '../e2e/remodel/world.ts';
import { type PostgresServer, startPostgres } from '../servers/postgres.ts';
import { waitFor } from '../servers/wait-for.ts';
import { Command } from '../storms/children.ts';
import { sourcePrograms } from '../storms/programs.ts';
import type { Counts } from './application.ts';
import { type Cpu, cpuBetween, cpuSoFar, postmasterOf } from './cpu.ts';
import { allOf } from './customers.ts';
import { FAULTS, type Fault, type FaultClass } from './faults.ts';
import { Hand } from './hand.ts';
import { Load, type LoadEnd } from './load.ts';
import type { Belief } from './writer.ts';

export type Engine = 'live' | 'duckdb' | 'spark';

export interface StressOptions {
  readonly customers: number;
  readonly verifies: number;
  /** Before every so-manieth verify a fault is injected. */
  readonly faultEvery: number;
  /** Without a fault the first compares, and now and then another; with one they take turns. */
  readonly engines: readonly Engine[];
  readonly processes: number;
  readonly connections: number;
  readonly batch: number;
  /** Writes a second that the application tries to make. */
  readonly pace: number;
  /** Identities a second that a comparison reads at most; undefined: as fast as it can. */
  readonly compareRate: number | undefined;
  readonly seed: number;
  readonly log: (line: string) => void;
}

/** One comparison. */
export interface Look {
  readonly engine: Engine;
  readonly fault: string | undefined;
  readonly seconds: number;
  /** Acknowledged while it ran. */
  readonly writes: number;
  readonly identities: number;
  readonly pending: number;
}

export interface StressResult {
  readonly looks: readonly Look[];
  /** What a comparison said and should not have, or did not say and should have; empty when all is well. */
  readonly falseAlarms: readonly string[];
  readonly missed: readonly string[];
  readonly injected: Readonly<Record<FaultClass, number>>;
  readonly found: Readonly<Record<FaultClass, number>>;
  /** Everything else that is wrong: failed writes, lost writes. */
  readonly wrong: readonly string[];
  /** From the first comparison to the last, faults and repairs included. */
  readonly span: { readonly seconds: number; readonly cpu: Cpu } & Counts;
  /** Writes past the library meanwhile. */
  readonly raw: number;
  readonly load: Pick<LoadEnd, 'writeMs' | 'transactionMs'>;
}

const RAW_EVERY_MS = 50;
const OFFLINE_EVERY = 8;

export async function stress(options: StressOptions): Promise<StressResult> {
  await using server = await startPostgres({
    settings: { shared_buffers: '512MB', max_wal_size: '4GB', checkpoint_timeout: '15min' },
  });
  const work = mkdtempSync(join(tmpdir(), 'godwit-stress-'));
  const one = new Stress(server, work, options);
  try {
    return await one.run();
  } finally {
    await one.end();
    rmSync(work, { recursive: true, force: true });
  }
}

class Stress {
  readonly #server: PostgresServer;
  readonly #db: string;
  readonly #work: string;
  readonly #options: StressOptions;
  readonly #pool: pg.Pool;
  readonly #looks: Look[] = [];
  readonly #falseAlarms: string[] = [];
  readonly #missed: string[] = [];
  readonly #injected = noFaults();
  readonly #found = noFaults();
  readonly #wrong: string[] = [];
  #relay: Command | undefined;
  #load: Load | undefined;
  #raw = 0;
  #isOver = false;
  #turn = 0;

  constructor(server: PostgresServer, work: string, options: StressOptions) {
    this.#server = server;
    this.#db = server.socketUri;
    this.#work = work;
    this.#options = options;
    this.#pool = poolOf(this.#db, 4);
  }

  async run(): Promise<StressResult> {
    const { customers, processes, connections, pace, batch, seed, log } = this.#options;
    const db = this.#db;
    await makeCustomers(db, customers);
    await this.#pool.query('vacuum analyze customers');
    await answerOf(db, ['create', '--samples', '5']);
    const relay = new Command({ programs: sourcePrograms(), db, work: this.#work }, ['relay']);
    this.#relay = relay;
    void relay.said.then(({ code, out, err }) => log(`relay ended: ${code} ${err || out}`.slice(0, 2000)));
    process.once('exit', () => relay.kill());
    const load = await Load.start({ db, customers, processes, connections, pace, batch, seed });
    this.#load = load;
    await this.#climb();
    const raw = this.#writeRaw();
    raw.catch(() => undefined);
    log('compare');
    const watched = { application: load.pids, relay: relay.pids, postgres: [postmasterOf(this.#server.dataDir)] };
    const cpu = cpuSoFar(watched);
    const began = performance.now();
    const first = await load.counts();
    await this.#compareAll(load);
    const last = await load.counts();
    const used = cpuBetween(cpu, cpuSoFar(watched));
    const seconds = (performance.now() - began) / 1000;
    this.#isOver = true;
    await raw;
    const end = await load.stop();
    this.#load = undefined;
    this.#wrong.push(...end.failures.slice(0, 20).map((failure) => `a write failed: ${failure}`));
    await this.#settle();
    await this.#check(end.beliefs);
    return {
      looks: this.#looks,
      falseAlarms: this.#falseAlarms,
      missed: this.#missed,
      injected: this.#injected,
      found: this.#found,
      wrong: this.#wrong,
      span: { seconds, cpu: used, ...difference(last, first) },
      raw: this.#raw,
      load: end,
    };
  }

  async end(): Promise<void> {
    this.#isOver = true;
    this.#load?.kill();
    this.#relay?.kill();
    await this.#relay?.said;
    await this.#pool.end();
  }

  /** To the phase in which everything is to be the same, under the load; what is compared on the way must be right, too. */
  async #climb(): Promise<void> {
    const { log } = this.#options;
    const db = this.#db;
    await answerOf(db, ['ramp', '50%']);
    log('dual, ramp 50 %');
    for (let n = 0; n < 2; n += 1) {
      const { extra, different, missing } = await this.#verify('live');
      // What the old model still owns is missing, and rightly so.
      if (extra + different > 0) this.#falseAlarms.push(`in dual: ${extra} extra, ${different} different`);
      log(`of what is owned nothing differs; ${missing} are still the old model's`);
    }
    await answerOf(db, ['ramp', '100%']);
    await answerOf(db, ['seal']);
    const { backfill } = await answerOf(db, ['backfill', '--throttle', 'off']);
    log(`sealed, backfilled: ${backfill?.adopted} adopted in ${backfill?.seconds.toFixed(1)} s`);
    // Two comparisons made by the backfill, and this one.
    const { phase } = await answerOf(db, ['verify', '--by-value']);
    if (phase !== 'verified') this.#falseAlarms.push(`after the backfill the phase is ${phase}`);
  }

  async #compareAll(load: Load): Promise<void> {
    const { verifies, faultEvery, engines } = this.#options;
    const engineOf = (i: number) => engines[i % engines.length] as Engine;
    const hand = await this.#open();
    try {
      for (let n = 1; n <= verifies; n += 1) {
        const turn = n % faultEvery === 0 ? n / faultEvery - 1 : undefined;
        const fault = turn === undefined ? undefined : (FAULTS[turn % FAULTS.length] as Fault);
        // The second time that a kind of fault is injected another engine has to find it.
        const engine =
          turn === undefined
            ? engineOf(n % OFFLINE_EVERY === 1 ? Math.ceil(n / OFFLINE_EVERY) : 0)
            : engineOf((turn % FAULTS.length) + Math.floor(turn / FAULTS.length));
        await this.#compareOnce(load, hand.hand, engine, fault);
      }
    } finally {
      await hand.close();
    }
  }

  async #compareOnce(load: Load, hand: Hand, engine: Engine, fault: Fault | undefined): Promise<void> {
    const place = fault && this.#place(fault);
    const expected = fault && place ? await fault.inject(hand, place.id, place.other) : [];
    const before = await load.counts();
    const began = performance.now();
    const report = await this.#verify(engine);
    const seconds = (performance.now() - began) / 1000;
    const { writes } = difference(await load.counts(), before);
    const { identities, pending } = report;
    this.#looks.push({ engine, fault: fault?.name, seconds, writes, identities, pending });
    this.#judge(report, fault, expected);
    this.#options.log(
      `${this.#looks.length} ${engine}: ${identities} compared, ${pending} on their way, ${seconds.toFixed(2)} s, ${Math.round(writes / seconds)} writes/s${fault ? `; ${fault.name}` : ''}`,
    );
    if (fault && place) await fault.repair(hand, place.id, place.other);
  }

  #judge(report: VerifyReport, fault: Fault | undefined, expected: readonly Mismatch[]): void {
    const said = new Set(report.examples.map(textOf));
    const meant = new Set(expected.map(textOf));
    const unsaid = [...meant].filter((text) => !said.has(text));
    const unmeant = [...said].filter((text) => !meant.has(text));
    const { missing, extra, different, engine, snapshot } = report;
    const counted = missing + extra + different;
    const where = `${this.#looks.length}, ${engine}, snapshot ${snapshot}`;
    if (fault) {
      this.#injected[fault.class] += 1;
      if (unsaid.length === 0) this.#found[fault.class] += 1;
      else this.#missed.push(`${where}: ${fault.name}: not said: ${unsaid.join('; ')}`);
    }
    if (unmeant.length > 0 || (unsaid.length === 0 && counted !== expected.length))
      this.#falseAlarms.push(`${where}: ${counted} differences, not ${expected.length}: ${unmeant.join('; ')}`);
  }

  /** A customer that nobody else writes, with a plan or without one, in turn. */
  #place({ needs }: Fault): { readonly id: number; readonly other: number } {
    const { customers } = this.#options;
    this.#turn += 1;
    const quiet = allOf('quiet', customers);
    const withPlan = quiet.filter((id) => id % 3 > 0);
    const of = (ids: readonly number[], n: number) => ids[n % ids.length] as number;
    const other = of(withPlan, 2 * this.#turn + 1);
    if (needs === 'new') return { id: customers + 10_000_000 + this.#turn, other };
    if (needs === 'with') return { id: of(withPlan, 2 * this.#turn), other };
    return {
      id: of(
        quiet.filter((id) => id % 3 === 0),
        this.#turn,
      ),
      other,
    };
  }

  /** One comparison by value, whatever it says. */
  async #verify(engine: Engine): Promise<VerifyReport> {
    const { compareRate } = this.#options;
    const pace = compareRate === undefined ? [] : ['--max-rate', String(compareRate)];
    const words = ['verify', '--by-value', ...pace, '--engine', engine, '--work', this.#work, '--json'];
    const { code, out, err } = await godwit(this.#db, words);
    const [report] = (JSON.parse(out || '{}') as Partial<RemodelResult>).verify ?? [];
    if (report === undefined) throw new Error(`godwit remodel ${words.join(' ')}: ${code} ${out}${err}`);
    return report;
  }

  async #open(): Promise<{ readonly hand: Hand; close(): Promise<void> }> {
    const library = await createGodwit<pg.PoolClient>({
      store: postgresStore({ pool: this.#pool }),
      migrations: [subs],
      relay: false,
    });
    return { hand: new Hand(this.#db, this.#pool, library), close: () => library.close() };
  }

  /** Somebody who does not know of the library, slowly: the guard notes it, the relay merges it. */
  async #writeRaw(): Promise<void> {
    const ids = allOf('raw', this.#options.customers);
    while (!this.#isOver) {
      await this.#pool.query('update customers set email = $2 where customer_id = $1', [
        ids[this.#raw % ids.length],
        `raw${this.#raw}`,
      ]);
      this.#raw += 1;
      await new Promise((resolve) => setTimeout(resolve, RAW_EVERY_MS));
    }
  }

  async #settle(): Promise<void> {
    await waitFor(
      async () => {
        const { rows } = await this.#pool.query<{ n: string }>(
          'select (select count(*) from godwit.outbox) + (select count(*) from godwit.dirty) as n',
        );
        return rows[0]?.n === '0';
      },
      { timeoutMs: 120_000, what: 'the relay to carry everything' },
    );
  }

  /** What was acknowledged is there, in both models. */
  async #check(beliefs: ReadonlyMap<number, Belief | undefined>): Promise<void> {
    const { rows } = await this.#pool.query<{ n: string }>('select count(*) as n from godwit.quarantine');
    if (rows[0]?.n !== '0') this.#wrong.push(`${rows[0]?.n} customers are in quarantine`);
    for (const where of ['new', 'old'] as const) {
      const people = await peopleIn(this.#db, where);
      let lost = 0;
      for (const [id, belief] of beliefs) {
        const plans = belief && [...(belief.first ? [belief.first] : []), ...Object.values(belief.added)].sort();
        const should = belief && JSON.stringify({ email: belief.email, plans });
        const person = people.get(id);
        if (JSON.stringify(person && { email: person.email, plans: person.plans.toSorted() }) === should) continue;
        lost += 1;
        if (lost <= 5) this.#wrong.push(`${id} in the ${where} tables is ${JSON.stringify(person)}, not ${should}`);
      }
      if (lost > 5) this.#wrong.push(`and ${lost - 5} more in the ${where} tables`);
    }
  }
}

function textOf({ identity, kind, columns }: Mismatch): string {
  return `${identity} ${kind} ${columns.toSorted().join(',')}`;
}

function noFaults(): Record<FaultClass, number> {
  return { wrong: 0, missing: 0, extra: 0, stale: 0, 'wrong type': 0 };
}

function difference(after: Counts, before: Counts): Counts {
  return { writes: after.writes - before.writes, transactions: after.transactions - before.transactions };
}
