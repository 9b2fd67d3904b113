import type { ConnectionOptions } from 'node:tls';

export type WireMechanism = 'SCRAM-SHA-256' | 'SCRAM-SHA-1' | 'MONGODB-X509';

export interface WireCredentials {
  /** Default: the best the server offers for this user. */
  readonly mechanism?: WireMechanism | undefined;
  readonly username?: string | undefined;
  readonly password?: string | undefined;
  /** The database that knows the user; default `admin`, and `$external` for X.509. */
  readonly source?: string | undefined;
}

/** One server, and how to log in to it. */
export interface WireTarget {
  /** A name, an address, or the path of a Unix socket (ending in `.sock`). */
  readonly host: string;
  readonly port: number;
  readonly tls?: ConnectionOptions | undefined;
  readonly credentials?: WireCredentials | undefined;
  /** Shown in the server's log and `currentOp`. */
  readonly appName?: string | undefined;
  /** For connecting, TLS and login together; 0 is no limit. */
  readonly connectTimeoutMs: number;
  /** How long the socket may be still while a reply is awaited; 0 is no limit. */
  readonly socketTimeoutMs: number;
  readonly loadBalanced?: false;
}
