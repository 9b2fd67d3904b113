/** One moment of the database, looked at by several connections. */
import pg from 'pg';
import { throwIfAborted } from '../../../kernel/errors.ts';
import { translate } from '../errors.ts';

const BEGIN = 'begin isolation level repeatable read, read only';

/**
 * A shared snapshot: one connection holds it and exports it, others join. It
 * takes no lock that a writer waits for; it only keeps dead rows from being
 * vacuumed for as long as it is open.
 *
 * Its connections are its own, made with the pool's settings: taken from the
 * pool they could starve the application, or wait for ever in a small one.
 */
export class Snapshot {
  /** As `pg_export_snapshot` names it. */
  readonly name: string;
  /** The connection that holds it: for small questions. */
  readonly holder: pg.Client;
  readonly #pool: pg.Pool;
  readonly #clients = new Set<pg.Client>();
  readonly #signal: AbortSignal;
  readonly #onAbort: () => void;
  #isClosed = false;

  private constructor(pool: pg.Pool, holder: pg.Client, name: string, signal: AbortSignal) {
    this.#pool = pool;
    this.holder = holder;
    this.name = name;
    this.#signal = signal;
    this.#clients.add(holder);
    this.#onAbort = () => this.#breakOff();
    signal.addEventListener('abort', this.#onAbort);
  }

  /** @throws GodwitError GW8001 when the signal is set: also from whatever reads in it at that moment. */
  static async open(pool: pg.Pool, signal: AbortSignal): Promise<Snapshot> {
    throwIfAborted(signal);
    const holder = await connectLike(pool);
    try {
      await holder.query(BEGIN);
      const { rows } = await holder.query<{ name: string }>('select pg_export_snapshot()::text as name');
      const snapshot = new Snapshot(pool, holder, rows[0]?.name as string, signal);
      if (signal.aborted) await snapshot.close();
      throwIfAborted(signal);
      return snapshot;
    } catch (error) {
      await endClient(holder);
      throw translate(error, 'Opening a snapshot');
    }
  }

  /** One more connection that sees the same moment. */
  async join(): Promise<pg.Client> {
    throwIfAborted(this.#signal);
    const client = await connectLike(this.#pool);
    this.#clients.add(client);
    if (this.#isClosed) await endClient(client);
    try {
      // The name is the server's own: hexadecimal digits and hyphens.
      await client.query(`${BEGIN}; set transaction snapshot '${this.name}'; set local jit = off`);
    } catch (error) {
      throwIfAborted(this.#signal);
      throw translate(error, 'Joining a snapshot');
    }
    return client;
  }

  /** Ends all connections, also those that are in the middle of something. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#signal.removeEventListener('abort', this.#onAbort);
    await Promise.all([...this.#clients].map(endClient));
    this.#clients.clear();
  }

  /** Whoever reads finds the connection gone, and asks the signal why. */
  #breakOff(): void {
    for (const client of this.#clients) socketOf(client).destroy();
  }
}

/** A connection beside the pool, with its settings. */
export async function connectLike(pool: pg.Pool): Promise<pg.Client> {
  const client = new pg.Client(pool.options);
  // A connection that breaks is noticed by whoever waits for it.
  client.on('error', () => {});
  try {
    await client.connect();
  } catch (error) {
    throw translate(error, 'Connecting');
  }
  return client;
}

/** Ends a connection whatever it is doing. A COPY under way would make `end` wait until all of it was read. */
export async function endClient(client: pg.Client): Promise<void> {
  const socket = socketOf(client);
  if (socket.destroyed) return;
  const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()));
  socket.destroy();
  await closed;
}

interface Inner {
  readonly connection: { readonly stream: import('node:stream').Duplex };
}

function socketOf(client: pg.Client): import('node:stream').Duplex {
  return (client as unknown as Inner).connection.stream;
}
