/** Servers and processes of storms that come one after the other: each storm has a database of its own and finds them running. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { startNats } from '../servers/nats.ts';
import { type PostgresServer, startPostgres } from '../servers/postgres.ts';
import { startRabbitmq } from '../servers/rabbitmq.ts';
import type { Lie } from './application.ts';
import { Application, type Log } from './children.ts';
import { CommandHost } from './command-host.ts';
import type { Programs } from './programs.ts';
import { Random } from './random.ts';
import { type Hands, Storm, type StormResult } from './storm.ts';

export type BrokerKind = 'none' | 'rabbitmq' | 'nats';

export interface Broker {
  readonly uri: string;
  kill(): Promise<void>;
  restart(): Promise<void>;
  stop(): Promise<void>;
}

export interface StormOptions {
  readonly seed: number;
  /** About so many in a life that goes straight; more when it goes back and on again. */
  readonly faults: number;
  readonly broker: BrokerKind;
  readonly log: Log;
  /** Only up to the ramp, and back. */
  readonly isShort?: boolean;
  readonly lie?: Lie;
}

const START: Readonly<Record<Exclude<BrokerKind, 'none'>, () => Promise<Broker>>> = {
  rabbitmq: () => startRabbitmq(),
  nats: () => startNats(),
};

export class Lane {
  readonly #programs: Programs;
  readonly #server: PostgresServer;
  readonly #hands: Hands;
  readonly #brokers = new Map<BrokerKind, Broker>();

  private constructor(programs: Programs, server: PostgresServer) {
    this.#programs = programs;
    this.#server = server;
    this.#hands = {
      applications: ['a', 'b'].map((name) => new Application(programs, name)),
      commands: new CommandHost(programs),
      relay: new CommandHost(programs),
    };
  }

  static async open(programs: Programs): Promise<Lane> {
    return new Lane(programs, await startPostgres({ fsync: false }));
  }

  /** Throws when a life could not be lived to its end: then the lane is to be closed, too. */
  async storm(options: StormOptions): Promise<StormResult> {
    const broker = await this.#broker(options.broker);
    const name = `storm${options.seed}`;
    const db = await this.#server.createDatabase(name);
    const work = mkdtempSync(join(tmpdir(), 'godwit-storm-'));
    const doesRelay = new Random(options.seed * 100 + 70).chance(0.3);
    const place = { programs: this.#programs, db, work, doesRelay, lie: options.lie };
    const storm = new Storm({ ...options, place, hands: this.#hands, server: this.#server, broker });
    try {
      return await storm.run();
    } finally {
      await storm.end();
      await this.#drop(name);
      rmSync(work, { recursive: true, force: true });
    }
  }

  async close(): Promise<void> {
    const { applications, commands, relay } = this.#hands;
    await Promise.all([...applications, commands, relay].map((process) => process.close()));
    for (const broker of this.#brokers.values()) await broker.stop();
    await this.#server.stop();
  }

  async #broker(kind: BrokerKind): Promise<Broker | undefined> {
    if (kind === 'none') return undefined;
    const known = this.#brokers.get(kind);
    if (known) return known;
    const broker = await START[kind]();
    this.#brokers.set(kind, broker);
    return broker;
  }

  async #drop(name: string): Promise<void> {
    const client = new pg.Client(this.#server.uri);
    await client.connect();
    try {
      await client.query(`drop database ${client.escapeIdentifier(name)} with (force)`);
    } finally {
      await client.end();
    }
  }
}
