import { type ConnectionOptions, connect, type NatsConnection } from '@nats-io/transport-node';
import { GodwitError, throwIfAborted } from '../../kernel/errors.ts';
import { orAborted } from '../../kernel/remodel/or-aborted.ts';
import { fromNats } from './errors.ts';

const CONNECT_TIMEOUT_MS = 5_000;
/** Silence after which the server is asked for a sign of life; the second unanswered one ends the connection. */
const PING_INTERVAL_MS = 10_000;
/** A server that does not answer our goodbye is left without it. */
const GOODBYE_MS = 2_000;

/** Where the servers are. Holds the password, so it is never printed; `name` may be. */
export interface Address {
  readonly name: string;
  readonly options: ConnectionOptions;
}

/**
 * Reads `nats://user:password@host:port`, `nats://token@host`, with `tls://` for TLS from the
 * start, and several of them with commas between. Credentials are those of the first that has any.
 * @throws GodwitError GW1001, without repeating the URI.
 */
export function parseAddress(uri: string): Address {
  const wrong = (why: string) => new GodwitError('GW1001', `The NATS address ${why}`);
  const urls = uri.split(',').map((part) => {
    const full = part.includes('://') ? part.trim() : `nats://${part.trim()}`;
    const url = URL.canParse(full) ? new URL(full) : undefined;
    if (url === undefined || url.hostname === '') throw wrong('is not a URL');
    if (url.protocol !== 'nats:' && url.protocol !== 'tls:') throw wrong('must begin with nats:// or tls://');
    return url;
  });
  const servers = urls.map(({ hostname, port }) => `${hostname}:${port || '4222'}`);
  const login = urls.find(({ username, password }) => username !== '' || password !== '');
  try {
    return {
      name: `NATS at ${servers.join(',')}`,
      options: {
        servers,
        ...(urls.some(({ protocol }) => protocol === 'tls:') ? { tls: {} } : {}),
        ...(login === undefined ? {} : credentials(login)),
      },
    };
  } catch {
    throw wrong('has a user or password with a stray %');
  }
}

function credentials({ username, password }: URL): Pick<ConnectionOptions, 'user' | 'pass' | 'token'> {
  if (password === '') return { token: decodeURIComponent(username) };
  return { user: decodeURIComponent(username), pass: decodeURIComponent(password) };
}

/** An open connection. It does not reconnect: whoever has it begins again, with a new one. */
export class Link {
  readonly connection: NatsConnection;
  /** Resolves, never rejects, when the connection is gone: with why. */
  readonly closed: Promise<GodwitError>;

  constructor(connection: NatsConnection, where: string) {
    this.connection = connection;
    this.closed = connection.closed().then((error) => fromNats(error instanceof Error ? error : CLOSED, where));
  }

  /** Sends what is still to be sent, and closes. */
  async close(): Promise<void> {
    const { connection } = this;
    if (connection.isClosed()) return;
    // Whether it could be flushed changes nothing: what was not acknowledged comes again.
    await this.briefly(connection.flush());
    await connection.close();
  }

  /** Waits for `work`, however it ends, while the connection lives; a server that has fallen silent is not waited for long. */
  async briefly(work: Promise<unknown>): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const patience = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, GOODBYE_MS);
    });
    await Promise.race([work.catch(() => {}), this.closed, patience]);
    clearTimeout(timer);
  }
}

const CLOSED = new GodwitError('GW3001', 'The connection to NATS was closed');

/** Connects to the first server that answers; the signal ends the wait at once, not the connection later. */
export async function openLink(address: Address, purpose: string, signal: AbortSignal): Promise<Link> {
  throwIfAborted(signal);
  const where = `${address.name} (${purpose})`;
  const connecting = connect({
    ...address.options,
    name: `godwit ${purpose}`,
    reconnect: false,
    timeout: CONNECT_TIMEOUT_MS,
    pingInterval: PING_INTERVAL_MS,
    maxPingOut: 2,
    ignoreClusterUpdates: true,
  });
  try {
    return new Link(await orAborted(connecting, signal), where);
  } catch (error) {
    // An attempt cannot be called off; what comes of it is closed.
    connecting.then(
      (connection) => connection.close(),
      () => {}, // told below
    );
    throw fromNats(error, where);
  }
}
