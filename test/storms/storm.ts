/**
 * One life of a remodel in a storm: two processes of an application, a relay
 * and the commands, on a real PostgreSQL, each killed at random, the database
 * too. At the end everything must be as the answers said.
 */
import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { makeCustomers } from '../e2e/remodel/world.ts';
import { startNats } from '../servers/nats.ts';
import { type PostgresServer, startPostgres } from '../servers/postgres.ts';
import { startRabbitmq } from '../servers/rabbitmq.ts';
import { Checker, type Outcome } from './checker.ts';
import { Application, Command, type Log, type Said } from './children.ts';
import { lookAtAll } from './look.ts';
import { type Look, type Op, textOf } from './person.ts';
import { Random } from './random.ts';

export type BrokerKind = 'none' | 'rabbitmq' | 'nats';

export interface StormOptions {
  readonly seed: number;
  readonly faults: number;
  readonly broker: BrokerKind;
  readonly log: Log;
}

export interface StormResult {
  readonly writes: number;
  readonly reads: number;
  readonly unknown: number;
  readonly kills: Readonly<Record<string, number>>;
  readonly end: 'retired' | 'rolled back';
  readonly seconds: number;
  /** Empty when all is well. */
  readonly wrong: readonly string[];
}

const CUSTOMERS = 200;
const MOST_CUSTOMERS = 300;
/** These are written past the library only, and looked at when all is over. */
const RAW = 10;
const WORKERS = 4;
const COMMAND_MS = 90_000;

interface Broker {
  readonly uri: string;
  restart(): Promise<void>;
  stop(): Promise<void>;
}

export async function storm(options: StormOptions): Promise<StormResult> {
  const server = await startPostgres({ fsync: false });
  const broker = await startBroker(options.broker);
  const work = mkdtempSync(join(tmpdir(), 'godwit-storm-'));
  const one = new Storm(server, broker, work, options);
  try {
    return await one.run();
  } finally {
    await one.end();
    await server.stop();
    await broker?.stop();
    rmSync(work, { recursive: true, force: true });
  }
}

async function startBroker(kind: BrokerKind): Promise<Broker | undefined> {
  if (kind === 'rabbitmq') return startRabbitmq();
  if (kind === 'nats') return startNats();
  return undefined;
}

class Storm {
  readonly #server: PostgresServer;
  readonly #broker: Broker | undefined;
  readonly #work: string;
  readonly #options: StormOptions;
  readonly #random: Random;
  readonly #checker = new Checker();
  readonly #wrong: string[] = [];
  readonly #kills: Record<string, number> = {};
  readonly #apps: Application[] = [];
  #relay: Command | undefined;
  #command: Command | undefined;
  #isOver = false;
  #rawMayWrite = true;
  readonly #raw = new Map<number, Set<string>>();
  #nextId = CUSTOMERS + 1;
  #writes = 0;
  #reads = 0;
  #unknown = 0;

  constructor(server: PostgresServer, broker: Broker | undefined, work: string, options: StormOptions) {
    this.#server = server;
    this.#broker = broker;
    this.#work = work;
    this.#options = options;
    this.#random = new Random(options.seed);
  }

  async run(): Promise<StormResult> {
    const began = performance.now();
    const { uri } = this.#server;
    await makeCustomers(uri, CUSTOMERS);
    for (const [id, look] of await lookAtAll(uri, 'old')) {
      if (id <= RAW) this.#raw.set(id, new Set([look?.email ?? '']));
      else this.#checker.know(id, look);
    }
    await this.#say(['create', '--samples', '5'], (said) => said.code === 0);
    for (const name of ['a', 'b']) this.#apps.push(new Application(uri, name, this.#options.log));
    await Promise.all(this.#apps.map((app) => app.ready));
    const relay = this.#keepRelay();
    const workers = Array.from({ length: WORKERS }, (_, i) => this.#worker(i));
    const raw = this.#rawWriter();
    const faults = this.#faults();
    let end: StormResult['end'];
    try {
      end = await this.#life();
    } finally {
      this.#isOver = true;
    }
    await Promise.all([...workers, raw, faults]);
    await this.#prove(end);
    this.#relay?.kill();
    await relay;
    return {
      writes: this.#writes,
      reads: this.#reads,
      unknown: this.#unknown,
      kills: this.#kills,
      end,
      seconds: (performance.now() - began) / 1000,
      wrong: this.#wrong,
    };
  }

  async end(): Promise<void> {
    this.#isOver = true;
    this.#command?.kill();
    this.#relay?.kill();
    await Promise.all(this.#apps.map((app) => app.stop()));
  }

  // — the life —

  async #life(): Promise<StormResult['end']> {
    const random = this.#random;
    const back = random.chance(0.4) ? random.below(7) : -1;
    const steps: (readonly [string, () => Promise<void>])[] = [
      ['dual', () => this.#ramp()],
      ['sealed', () => this.#move(['seal'], 'sealed')],
      ['backfilling', () => this.#move(['backfill', '--chunk', '20'], 'backfilling')],
      ['verified', () => this.#move(['verify', '--by-value'], 'verified')],
      ['reads', () => this.#readsMove()],
      ['new-only', () => this.#contract()],
      ['trapped', () => this.#move(['retire', '--trap', 'record', '--cycle', '0s'], 'trapped')],
    ];
    for (const [i, [phase, step]] of steps.entries()) {
      this.#options.log(`→ ${phase}`);
      await step();
      await sleep(random.between(100, 800));
      if (i === back) return this.#rollBack(phase);
    }
    await this.#move(['retire', '--trap', 'refuse', '--cycle', '0s'], 'trapped');
    await this.#move(['retire', '--confirm', 'customers', '--cycle', '0s', '--accept-lossy'], 'retired');
    return 'retired';
  }

  async #ramp(): Promise<void> {
    for (let n = this.#random.below(3); n >= 0; n -= 1) {
      await this.#move(['ramp', `${this.#random.below(101)}%`], 'dual');
      await sleep(this.#random.between(100, 500));
    }
    await this.#move(['ramp', '100%'], 'dual');
  }

  async #readsMove(): Promise<void> {
    for (const share of [this.#random.below(100) + 1, this.#random.below(100) + 1, 100]) {
      await this.#move(['reads', `${share}%`, '--min-shadow', '0'], 'reads');
      await sleep(this.#random.between(100, 400));
    }
  }

  /** From here on what is written to the old table past the library is nobody's. */
  async #contract(): Promise<void> {
    this.#rawMayWrite = false;
    await this.#move(['contract'], 'new-only');
  }

  async #rollBack(from: string): Promise<StormResult['end']> {
    this.#options.log(`back from ${from}`);
    await this.#move(['rollback', '--to', 'created'], 'created');
    return 'rolled back';
  }

  /** Says it until the phase is there: the command, or the database, may have been killed in the middle. */
  #move(words: readonly string[], phase: string): Promise<void> {
    return this.#say(words, async (said) => said.code === 0 && (await this.#phase()) === phase);
  }

  async #say(words: readonly string[], isDone: (said: Said) => boolean | Promise<boolean>): Promise<void> {
    const until = performance.now() + COMMAND_MS;
    for (;;) {
      const command = new Command({ db: this.#server.uri, work: this.#work }, words);
      this.#command = command;
      const said = await command.said;
      this.#command = undefined;
      this.#options.log(
        `godwit remodel ${words.join(' ')}: ${said.code} ${said.code === 0 ? '' : said.out + said.err}`,
      );
      if (await isDone(said)) return;
      if (performance.now() > until)
        throw new Error(`godwit remodel ${words.join(' ')} did not get there: ${said.out}${said.err}`);
      await sleep(100);
    }
  }

  async #phase(): Promise<string | undefined> {
    try {
      const { rows } = await this.#query(`select phase from godwit.remodel where name = 'subs'`);
      return rows[0]?.['phase'] as string | undefined;
    } catch {
      return undefined;
    }
  }

  async #query(text: string, values: unknown[] = []): Promise<pg.QueryResult> {
    const client = new pg.Client({ connectionString: this.#server.uri, connectionTimeoutMillis: 5_000 });
    client.on('error', () => undefined);
    await client.connect();
    try {
      return await client.query(text, values);
    } finally {
      await client.end();
    }
  }

  // — the application at work —

  async #worker(worker: number): Promise<void> {
    const random = new Random(this.#options.seed * 100 + worker);
    while (!this.#isOver) {
      if (random.chance(0.5)) await this.#read(random);
      else await this.#write(random);
    }
  }

  async #read(random: Random): Promise<void> {
    const id = random.pick(this.#checker.identities);
    const since = this.#checker.beginRead(id);
    const answer = await random.pick(this.#apps).ask({ kind: 'read', id });
    if (answer?.kind !== 'read') return;
    this.#reads += 1;
    const verdict = this.#checker.judge(id, since, answer.look);
    if (verdict !== 'right')
      this.#note(
        `${verdict} read of ${id} from ${answer.from}: ${textOf(answer.look)}; last were ${this.#checker.told(id)}`,
      );
  }

  async #write(random: Random): Promise<void> {
    const parts: { id: number; op: Op }[] = [];
    for (let n = random.chance(0.15) ? 2 : 1; n > 0; n -= 1) {
      const id =
        this.#nextId < MOST_CUSTOMERS && random.chance(0.05) ? this.#fresh() : random.pick(this.#checker.identities);
      if (!this.#checker.isFree(id) || parts.some((part) => part.id === id)) continue;
      parts.push({ id, op: someOp(random, this.#checker.guess(id)) });
    }
    if (parts.length === 0) return;
    // One of two refused takes the other with it: then nobody can say which. Only single ones are meant to be refused.
    for (const { id, op } of parts) this.#checker.begin(id, op);
    const abort = random.chance(0.05);
    const answer = await random.pick(this.#apps).ask({ kind: 'write', parts, abort });
    let outcome: Outcome = answer?.kind === 'write' ? answer.outcome : 'unknown';
    if (outcome === 'unknown') this.#unknown += 1;
    if (parts.length > 1 && outcome === 'refused') outcome = 'failed';
    if (outcome === 'done') this.#writes += 1;
    for (const { id, op } of parts)
      if (!this.#checker.end(id, op, outcome)) this.#note(`${outcome}: ${JSON.stringify(op)} of ${id} cannot be`);
  }

  #fresh(): number {
    const id = this.#nextId;
    this.#nextId += 1;
    this.#checker.know(id, undefined);
    return id;
  }

  /** Somebody who does not know of the library. */
  async #rawWriter(): Promise<void> {
    const random = new Random(this.#options.seed * 100 + 99);
    while (!this.#isOver && this.#rawMayWrite) {
      const id = 1 + random.below(RAW);
      const email = `raw${random.below(1_000_000)}`;
      try {
        await this.#query('update customers set email = $2 where customer_id = $1', [id, email]);
        this.#raw.set(id, new Set([email]));
      } catch {
        this.#raw.get(id)?.add(email);
      }
      await sleep(1_500);
    }
  }

  // — faults —

  async #faults(): Promise<void> {
    const random = new Random(this.#options.seed * 100 + 50);
    for (let left = this.#options.faults; left > 0 && !this.#isOver; left -= 1) {
      await sleep(random.between(300, 2_000));
      if (this.#isOver) return;
      await this.#fault(random);
    }
  }

  async #fault(random: Random): Promise<void> {
    const kinds = ['application', 'application', 'relay', 'command', 'command', 'connections', 'database'];
    if (this.#broker) kinds.push('broker');
    const kind = random.pick(kinds);
    if (kind === 'command' && !this.#command) return;
    this.#kills[kind] = (this.#kills[kind] ?? 0) + 1;
    this.#options.log(`✂ ${kind}`);
    if (kind === 'application') random.pick(this.#apps).kill();
    else if (kind === 'relay') this.#relay?.kill();
    else if (kind === 'command') this.#command?.kill();
    else if (kind === 'database') await this.#server.restart();
    else if (kind === 'broker') await this.#broker?.restart();
    else
      await this.#query(
        'select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()',
      ).catch(() => undefined);
  }

  /** Somebody must carry the old rows, as long as there are any. */
  async #keepRelay(): Promise<void> {
    const queue = this.#broker ? ['--queue', this.#broker.uri] : [];
    while (!this.#isOver || this.#relay !== undefined) {
      this.#relay = new Command({ db: this.#server.uri, work: this.#work }, ['relay', ...queue]);
      const { code, err } = await this.#relay.said;
      this.#options.log(`relay ended: ${code} ${err.slice(-300)}`);
      this.#relay = undefined;
      if (this.#isOver) return;
      await sleep(100);
    }
  }

  // — the proof —

  async #prove(end: StormResult['end']): Promise<void> {
    const { uri } = this.#server;
    const seen = new Map([...(await lookAtAll(uri, end === 'retired' ? 'new' : 'old'))]);
    for (const [id, emails] of this.#raw) {
      const look = seen.get(id);
      seen.delete(id);
      if (!look || !emails.has(look.email))
        this.#note(`${id}, written past the library, is ${look?.email}, not ${[...emails].join(' or ')}`);
    }
    for (const what of this.#checker.whole(seen)) this.#note(what);
    if (end === 'rolled back') {
      const { rows } = await this.#query(
        `select (select count(*) from customers_v2)::int + (select count(*) from subscriptions)::int as n`,
      );
      if (rows[0]?.['n'] !== 0) this.#note(`${rows[0]?.['n']} rows are left in the new tables`);
    }
  }

  #note(what: string): void {
    this.#options.log(`WRONG ${what}`);
    this.#wrong.push(what);
  }
}

function someOp(random: Random, look: Look): Op {
  const email = `mail${random.below(1_000_000)}`;
  if (!look) return random.chance(0.9) ? { kind: 'create', email } : { kind: 'email', email };
  const ids = Object.keys(look.subs);
  const plan = `plan${random.below(1000)}`;
  const kind = random.pick(['email', 'email', 'legacy', 'insert', 'insert', 'update', 'remove', 'delete'] as const);
  if (kind === 'insert' && ids.length < 3) return { kind, id: randomUUID(), plan };
  if (kind === 'update' && ids.length > 0) return { kind, id: random.pick(ids), plan };
  if (kind === 'remove' && ids.length > 0) return { kind, id: random.pick(ids) };
  if (kind === 'delete' && random.chance(0.3)) return { kind };
  return { kind: kind === 'legacy' ? 'legacy' : 'email', email };
}
