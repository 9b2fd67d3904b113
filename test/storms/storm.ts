/**
 * One life of a remodel in a storm: two processes of an application, a relay
 * and the commands, on a real PostgreSQL, each killed at random, the database
 * too. At the end everything must be as the answers said.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { RemodelPhase } from '../../src/kernel/remodel/index.ts';
import { makeCustomers } from '../e2e/remodel/world.ts';
import type { PostgresServer } from '../servers/postgres.ts';
import type { Application, Place } from './children.ts';
import type { CommandHost } from './command-host.ts';
import { type Counts, Crowd, CUSTOMERS } from './crowd.ts';
import { type FaultKind, strikeAtRandom } from './faults.ts';
import type { Broker, StormOptions } from './lane.ts';
import { type End, live } from './life.ts';
import { lookAtAll } from './look.ts';
import { Operator } from './operator.ts';
import { Random } from './random.ts';

export interface Strike {
  readonly kind: FaultKind;
  readonly phase: RemodelPhase;
}

export interface StormResult {
  readonly counts: Readonly<Counts>;
  readonly strikes: readonly Strike[];
  readonly end: End;
  readonly seconds: number;
  /** Empty when all is well. */
  readonly wrong: readonly string[];
}

/** The processes that storms have, one after the other. */
export interface Hands {
  readonly applications: readonly Application[];
  readonly commands: CommandHost;
  readonly relay: CommandHost;
}

export interface Scene extends Omit<StormOptions, 'broker'> {
  readonly place: Place;
  readonly hands: Hands;
  readonly server: PostgresServer;
  readonly broker: Broker | undefined;
}

/** That a life goes through, when it goes straight. */
const PHASES = 8;
/** How busy people are, and how many reads and writes there must be at least: less proves nothing. */
const WHOLE = { thinkMs: 100, least: 50 };
/** In a short life they have to hurry. */
const SHORT = { thinkMs: 15, least: 200 };
const MOST_WAIT_MS = 20_000;

export class Storm {
  readonly #scene: Scene;
  readonly #operator: Operator;
  readonly #wrong: string[] = [];
  readonly #strikes: Strike[] = [];
  #crowd: Crowd | undefined;
  #faults: Promise<void> = Promise.resolve();
  #relay: ReturnType<CommandHost['run']> | undefined;
  #phase: RemodelPhase = 'created';
  #allowance = 0;
  #isOver = false;

  constructor(scene: Scene) {
    this.#scene = scene;
    const random = new Random(scene.seed * 100 + 60);
    this.#operator = new Operator(scene.place, scene.hands.commands, random, scene.log, (victim) =>
      this.#struck(victim),
    );
  }

  async run(): Promise<StormResult> {
    const { place, seed, hands, log } = this.#scene;
    const { applications } = hands;
    const began = performance.now();
    await makeCustomers(place.db, CUSTOMERS);
    const atFirst = await lookAtAll(place.db, 'old');
    await this.#operator.say(['create', '--samples', '5'], (said) => said.code === 0);
    await Promise.all(applications.map((application) => application.begin(place, log)));
    const relay = this.#keepRelay();
    const note = (what: string) => this.#note(what);
    const { thinkMs } = this.#pace;
    const crowd = new Crowd({ seed, applications, operator: this.#operator, thinkMs, note }, atFirst);
    this.#crowd = crowd;
    crowd.start();
    this.#faults = this.#strikeAtRandom();
    let end: End;
    try {
      end = await this.#live(crowd);
    } finally {
      this.#isOver = true;
    }
    await this.#faults;
    await this.#enough(crowd);
    await crowd.stop();
    await this.#prove(end, crowd);
    this.#relay?.stop();
    await relay;
    return {
      counts: crowd.counts,
      strikes: this.#strikes,
      end,
      seconds: (performance.now() - began) / 1000,
      wrong: this.#wrong,
    };
  }

  /** Leaves no process behind, whatever became of the storm. */
  async end(): Promise<void> {
    this.#isOver = true;
    await this.#operator.stop();
    await this.#faults.catch(() => undefined);
    this.#relay?.kill();
    await this.#crowd?.stop();
    await Promise.all(this.#scene.hands.applications.map((application) => application.end()));
  }

  /** A short life on a busy machine may be over before anybody did much. */
  async #enough({ counts }: Crowd): Promise<void> {
    const until = performance.now() + MOST_WAIT_MS;
    while (!this.#isEnough(counts) && performance.now() < until) await sleep(20);
  }

  #isEnough({ reads, writes }: Counts): boolean {
    return Math.min(reads, writes) >= this.#pace.least;
  }

  get #pace() {
    return this.#scene.isShort ? SHORT : WHOLE;
  }

  #live(crowd: Crowd): Promise<End> {
    return live({
      operator: this.#operator,
      random: new Random(this.#scene.seed),
      log: this.#scene.log,
      isShort: this.#scene.isShort ?? false,
      enters: (phase) => {
        this.#scene.log(`→ ${phase}`);
        this.#phase = phase;
        this.#allowance += this.#scene.faults / PHASES;
        if (phase === 'backfilling') crowd.touchAll();
      },
      beforeContract: () => crowd.stopPast(),
    });
  }

  #strikeAtRandom(): Promise<void> {
    const { seed, server, broker, log } = this.#scene;
    return strikeAtRandom({
      random: new Random(seed * 100 + 50),
      allowance: () => this.#allowance,
      server,
      broker,
      applications: this.#scene.hands.applications,
      operator: this.#operator,
      relay: () => this.#relay,
      isOver: () => this.#isOver,
      struck: (kind) => this.#struck(kind),
      log,
    });
  }

  /** Somebody must carry the old rows, as long as there are any. */
  async #keepRelay(): Promise<void> {
    const { place, hands, broker, log } = this.#scene;
    const queue = broker ? ['--queue', broker.uri] : [];
    while (!this.#isOver) {
      this.#relay = hands.relay.run(place, ['relay', ...queue]);
      const { code, err } = await this.#relay.said;
      log(`relay ended: ${code} ${err.slice(-300)}`);
      this.#relay = undefined;
      await sleep(100);
    }
  }

  async #prove(end: End, crowd: Crowd): Promise<void> {
    const { db } = this.#scene.place;
    for (const what of crowd.judge(await lookAtAll(db, end === 'retired' ? 'new' : 'old'))) this.#note(what);
    const { reads, writes } = crowd.counts;
    if (!this.#isEnough(crowd.counts)) this.#note(`${reads} reads and ${writes} writes are too few to prove anything`);
    if (end === 'rolled back') {
      const { rows } = await this.#operator.query(
        `select (select count(*) from customers_v2)::int + (select count(*) from subscriptions)::int as n`,
      );
      if (rows[0]?.['n'] !== 0) this.#note(`${rows[0]?.['n']} rows are left in the new tables`);
    }
  }

  #struck(kind: FaultKind): void {
    this.#strikes.push({ kind, phase: this.#phase });
  }

  #note(what: string): void {
    this.#scene.log(`WRONG ${what}`);
    this.#wrong.push(what);
  }
}
