/** A client of a volume that writes, flushes and reads for as long as it may, over whatever connection there is. */
import { setTimeout as sleep } from 'node:timers/promises';
import { NbdClient } from '../../src/adapters/nbd/index.ts';
import type { Random } from '../storms/random.ts';
import { BLOCK, type Ledger, stamp } from './ledger.ts';

const WRITERS = 6;

export interface ClientOptions {
  readonly socket: string;
  readonly exportName: string;
  readonly blocks: number;
  readonly ledger: Ledger;
  readonly random: Random;
  /** Whether every acknowledged write is safe, or only what was flushed. */
  readonly safeAtOnce: boolean;
}

export class Client {
  readonly #options: ClientOptions;
  readonly #workers: Promise<void>[];
  #connection: Promise<NbdClient> | undefined;
  #running = true;
  /** What was read and cannot be. */
  readonly wrong: string[] = [];

  constructor(options: ClientOptions) {
    this.#options = options;
    const share = Math.floor(options.blocks / WRITERS);
    this.#workers = Array.from({ length: WRITERS }, (_, i) => this.#work(i * share, share));
  }

  /** Ends the connection, as a machine that dies does: what is under way stays open. */
  async stop(): Promise<void> {
    this.#running = false;
    const connection = await this.#connection?.catch(() => undefined);
    await connection?.close().catch(() => undefined);
    await Promise.all(this.#workers);
  }

  async #work(first: number, count: number): Promise<void> {
    const { random } = this.#options;
    // A writer's own: a block has one writer, so its versions have an order.
    while (this.#running) {
      const used = this.#connect();
      try {
        const connection = await used;
        const luck = random.next();
        const block = first + random.below(count);
        if (luck < 0.05) await this.#flush(connection);
        else if (luck < 0.15) await this.#read(connection, block);
        else await this.#write(connection, block, luck < 0.35);
      } catch {
        // The server was lost; what was not acknowledged is neither promised nor forbidden.
        if (this.#connection === used) this.#connection = undefined;
        await sleep(50);
      }
    }
  }

  /** One connection for all; a new one when it is lost. */
  #connect(): Promise<NbdClient> {
    const { socket, exportName, ledger } = this.#options;
    if (this.#connection === undefined) {
      ledger.lostServer();
      this.#connection = NbdClient.connect({ address: { path: socket }, exportName, connectMs: 3_000 });
    }
    return this.#connection;
  }

  async #write(connection: NbdClient, block: number, durable: boolean): Promise<void> {
    const { ledger, safeAtOnce } = this.#options;
    const { era } = ledger;
    const version = ledger.submit(block);
    await connection.write(block * BLOCK, stamp(block, version), durable);
    ledger.acknowledge(block, version, durable || safeAtOnce, era);
  }

  async #flush(connection: NbdClient): Promise<void> {
    const flushed = this.#options.ledger.flushing();
    await connection.flush();
    flushed();
  }

  async #read(connection: NbdClient, block: number): Promise<void> {
    const content = Buffer.alloc(BLOCK);
    await connection.read(block * BLOCK, content);
    // A crash of the primary may have taken back what was not flushed.
    const found = this.#options.ledger.contradiction(block, content, false);
    if (found !== undefined) this.wrong.push(`while it was served, ${found}`);
  }
}
