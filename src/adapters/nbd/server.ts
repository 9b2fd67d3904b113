import { chmod, lstat, unlink } from 'node:fs/promises';
import { type AddressInfo, createConnection, createServer, type Server, type Socket } from 'node:net';
import type { TlsOptions } from 'node:tls';
import { GodwitError } from '../../kernel/errors.ts';
import { Connection } from './connection.ts';
import { checkExports, type NbdExport } from './exports.ts';
import type { TlsMode } from './handshake.ts';
import { PayloadPool } from './payload-pool.ts';
import { KEYED } from './protocol.ts';
import type { TransmissionLimits } from './transmission.ts';

/** Where the server listens: a Unix socket, or TCP (port 0: any). */
export type NbdAddress = { readonly path: string } | { readonly host: string; readonly port: number };

/** By certificate, or by a key that both sides have. */
export type ServerTls = CertificateTls | KeyTls;

export interface KeyTls {
  /** Only who has it too gets in. */
  readonly key: Buffer;
}

export interface CertificateTls {
  /** PEM. */
  readonly cert: string | Buffer;
  readonly key: string | Buffer;
  /** When given, a client needs a certificate signed by one of these. */
  readonly clientCa?: string | Buffer;
  /** Whether nothing but TLS is allowed ("FORCEDTLS mode"); otherwise clients may choose. Default: true. */
  readonly required?: boolean;
}

export interface NbdServerOptions {
  readonly address: NbdAddress;
  readonly exports: readonly NbdExport[];
  readonly tls?: ServerTls;
  /** Of each connection. Default: 256 requests, 32 MiB. */
  readonly limits?: TransmissionLimits;
  /** Further ones are hung up on. Default: 64. */
  readonly mostConnections?: number;
  /** How long a client may take to choose an export. Default: 30 s. */
  readonly handshakeMs?: number;
  /** Told of every error of a volume; the client has been told too. */
  readonly onFailure?: (error: unknown) => void;
}

const LIMITS: TransmissionLimits = { requests: 256, bytes: 32 << 20 };

/** Memory for payloads that is kept for the next ones. */
const MOST_KEPT = 64 << 20;

/** Serves volumes by NBD; listens when this resolves. */
export async function serveNbd(options: NbdServerOptions): Promise<NbdServer> {
  const server = new NbdServer(options);
  await server.listen();
  return server;
}

/** Made by `serveNbd`. */
export class NbdServer implements AsyncDisposable {
  readonly #options: NbdServerOptions;
  readonly #listener: Server;
  readonly #exports: Map<string, NbdExport>;
  readonly #connections = new Set<Connection>();
  #closing: Promise<void> | undefined;

  constructor(options: NbdServerOptions) {
    this.#options = options;
    this.#exports = new Map(checkExports(options.exports));
    const { tls } = options;
    const isOffered = tls !== undefined && 'cert' in tls && tls.required === false;
    const mode: TlsMode = tls === undefined ? 'none' : isOffered ? 'offered' : 'required';
    const handshake = { exports: this.#exports, tls: mode, isShuttingDown: () => this.#closing !== undefined };
    const settings = {
      handshake,
      tls: tls && tlsOptions(tls),
      limits: options.limits ?? LIMITS,
      pool: new PayloadPool(MOST_KEPT),
      handshakeMs: options.handshakeMs ?? 30_000,
      onFailure: options.onFailure ?? (() => {}),
    };
    this.#listener = createServer({ allowHalfOpen: true }, (socket: Socket) => {
      const connection = new Connection(socket, settings);
      this.#connections.add(connection);
      void connection.finished.then(() => this.#connections.delete(connection));
    });
    this.#listener.maxConnections = options.mostConnections ?? 64;
  }

  /** Clients that are connected, or whose requests are still being worked on. */
  get connections(): number {
    return this.#connections.size;
  }

  /** Where it listens, with the port that it was given. */
  get address(): NbdAddress {
    const { address } = this.#options;
    return 'path' in address ? address : { ...address, port: (this.#listener.address() as AddressInfo).port };
  }

  /** One export more. Throws GW1201 for one that no client could use. */
  offer(each: NbdExport): void {
    for (const [name, checked] of checkExports([...this.#exports.values(), each])) this.#exports.set(name, checked);
  }

  /** One less, and hangs up at once on whoever uses it; the volume is still asked for what has come before. */
  withdraw(name: string): void {
    this.#exports.delete(name);
    for (const connection of this.#connections) if (connection.exportName === name) connection.destroy();
  }

  /** Used once, by `serveNbd`. */
  async listen(): Promise<void> {
    const { address } = this.#options;
    if ('path' in address) {
      await removeLeftSocket(address.path);
      await listenOn(this.#listener, address);
      // As private as the data behind it.
      await chmod(address.path, 0o600);
    } else await listenOn(this.#listener, address);
  }

  /**
   * Takes no new client, answers what is under way, refuses what comes now
   * (NBD_ESHUTDOWN), and hangs up; after `graceMs` also on clients that do not
   * take their replies. The volumes are the caller's to close.
   */
  close(graceMs = 5_000): Promise<void> {
    this.#closing ??= this.#close(graceMs);
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(graceMs: number): Promise<void> {
    await Promise.resolve(); // so that `isShuttingDown` is true below
    const connections = [...this.#connections];
    const closed = new Promise<void>((resolve) => this.#listener.close(() => resolve()));
    for (const connection of connections) connection.shutDown();
    const timer = setTimeout(() => {
      for (const connection of connections) connection.destroy();
    }, graceMs);
    await Promise.all(connections.map(({ finished }) => finished));
    clearTimeout(timer);
    await closed;
  }
}

function tlsOptions(tls: ServerTls): TlsOptions {
  if (!('cert' in tls)) return { ...KEYED, pskCallback: () => tls.key };
  return {
    cert: tls.cert,
    key: tls.key,
    ca: tls.clientCa,
    requestCert: tls.clientCa !== undefined,
    rejectUnauthorized: tls.clientCa !== undefined,
  };
}

function listenOn(listener: Server, address: NbdAddress): Promise<void> {
  return new Promise((resolve, reject) => {
    const fail = (error: Error) => reject(cannotListen(address, error));
    listener.once('error', fail);
    listener.listen(address, () => {
      listener.removeListener('error', fail);
      resolve();
    });
  });
}

function cannotListen(address: NbdAddress, cause: unknown): GodwitError {
  const where = 'path' in address ? address.path : `${address.host}:${address.port}`;
  const why = cause instanceof Error ? cause.message : String(cause);
  return new GodwitError('GW1202', `Cannot listen on ${where}: ${why}`, { details: { address: where }, cause });
}

/** A server that was killed leaves its socket behind; one that lives keeps it. */
async function removeLeftSocket(path: string): Promise<void> {
  const state = await new Promise<string>((resolve) => {
    const probe = createConnection({ path });
    probe.once('connect', () => {
      probe.destroy();
      resolve('lives');
    });
    probe.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? 'unknown'));
  });
  if (state === 'lives') throw cannotListen({ path }, new Error('another server listens there'));
  // Plain files refuse connections too: they are left alone, and listening will say so.
  if (state === 'ECONNREFUSED' && (await lstat(path)).isSocket()) await unlink(path);
}
