import { type ChannelModel, connect, type Options } from 'amqplib';
import { GodwitError, throwIfAborted } from '../../kernel/errors.ts';
import { fromBroker } from './errors.ts';

/** Seconds without a sign of life after which the broker is taken for dead (twice), unless the URI says otherwise. */
const HEARTBEAT_S = 10;
const CONNECT_TIMEOUT_MS = 10_000;
/** A broker that does not answer our goodbye is left without it. */
const GOODBYE_MS = 2_000;

/** Where the broker is. Holds the password, so it is never printed; `name` may be. */
export interface Address {
  readonly name: string;
  readonly options: Options.Connect;
}

/**
 * Reads `amqp[s]://user:password@host:port/vhost?heartbeat=10`.
 * @throws GodwitError GW1001, without repeating the URI.
 */
export function parseAddress(uri: string): Address {
  const wrong = (why: string) => new GodwitError('GW1001', `The RabbitMQ address ${why}`);
  const url = URL.canParse(uri) ? new URL(uri) : undefined;
  if (url === undefined) throw wrong('is not a URL');
  const protocol = url.protocol.slice(0, -1);
  if (protocol !== 'amqp' && protocol !== 'amqps') throw wrong('must begin with amqp:// or amqps://');
  const heartbeat = Number(url.searchParams.get('heartbeat') ?? HEARTBEAT_S);
  if (!Number.isInteger(heartbeat) || heartbeat < 0) throw wrong('has a heartbeat that is no number of seconds');
  const login = url.username !== '' || url.password !== '';
  return {
    name: `RabbitMQ at ${url.host}`,
    options: {
      protocol,
      hostname: url.hostname.replace(/^\[|\]$/g, ''),
      port: url.port === '' ? undefined : Number(url.port),
      username: login ? decoded(url.username, wrong) : undefined,
      password: login ? decoded(url.password, wrong) : undefined,
      vhost: url.pathname.slice(1), // amqplib decodes it
      heartbeat,
    },
  };
}

function decoded(part: string, wrong: (why: string) => GodwitError): string {
  try {
    return decodeURIComponent(part);
  } catch {
    throw wrong('has a user or password with a stray %');
  }
}

/** An open connection to the broker. */
export class Link {
  readonly model: ChannelModel;
  /** Resolves, never rejects, when the connection is gone: with why. */
  readonly closed: Promise<GodwitError>;
  /** What has been declared over this connection. */
  readonly declared = new Set<string>();
  readonly #kill: AbortController;

  constructor(model: ChannelModel, kill: AbortController, where: string) {
    this.model = model;
    this.#kill = kill;
    this.closed = new Promise((resolve) => {
      let why: unknown = new Error('the connection was closed');
      model.on('error', (error) => {
        why = error;
      });
      model.on('close', (error?: Error) => {
        resolve(fromBroker(error ?? why, where));
        // amqplib only ends its half; a peer that is gone would keep the socket, and this process, for long.
        setImmediate(() => kill.abort());
      });
    });
  }

  /** Sends what is still to be sent, says goodbye, and leaves no socket behind. */
  async close(): Promise<void> {
    // It rejects when the connection is closed already.
    this.model.close().catch(() => {});
    await orGoodbyeTime(this.closed);
    this.#kill.abort();
    await this.closed;
  }
}

/** Waits for a goodbye to be answered, for a short time. */
export async function orGoodbyeTime(answered: Promise<unknown>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const patience = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, GOODBYE_MS);
  });
  await Promise.race([answered, patience]);
  clearTimeout(timer);
}

/** Connects; the signal ends the attempt at once, not the connection later. */
export async function openLink(address: Address, purpose: string, signal: AbortSignal): Promise<Link> {
  throwIfAborted(signal);
  const kill = new AbortController();
  const stop = () => kill.abort();
  signal.addEventListener('abort', stop, { once: true });
  try {
    const model = await connect(address.options, {
      // Node's sockets know `signal`, which destroys them; amqplib has no way to give up.
      ...({ signal: kill.signal } as object),
      noDelay: true,
      keepAlive: true,
      timeout: CONNECT_TIMEOUT_MS,
      clientProperties: { connection_name: `godwit ${purpose}` },
    });
    return new Link(model, kill, `${address.name} (${purpose})`);
  } catch (error) {
    throwIfAborted(signal);
    throw fromBroker(error, `${address.name} (${purpose})`);
  } finally {
    signal.removeEventListener('abort', stop);
  }
}
