import { readFileSync } from 'node:fs';
import { type Db, type Document, MongoClient } from 'mongodb';
import { systemClock } from '../../kernel/clock.ts';
import { GodwitError, throwIfAborted } from '../../kernel/errors.ts';
import type { Position } from '../../kernel/position.ts';
import { redactUri } from '../../kernel/redact.ts';
import { fromDriver } from './errors.ts';
import { positionOfTimestamp } from './position.ts';
import { WireConnection, type WireTarget } from './wire/connection.ts';

const CONNECT_TIMEOUT_MS = 10_000;
const SELECTION_TIMEOUT_MS = 15_000;
const MECHANISMS = ['SCRAM-SHA-256', 'SCRAM-SHA-1', 'MONGODB-X509'] as const;

/**
 * One replica set. Control commands go through the driver, which finds the
 * members and survives elections; bytes go through wire connections of our
 * own to the member of choice.
 */
export class Cluster {
  readonly name: string;
  /** The connection string without secrets. */
  readonly address: string;
  readonly client: MongoClient;
  /** Members that stand still and are of no use to readers of the present. */
  readonly #avoided = new Set<string>();

  private constructor(name: string, uri: string, client: MongoClient) {
    this.name = name;
    this.address = redactUri(uri);
    this.client = client;
  }

  /**
   * Connects and waits for a primary.
   * @param name 'source' or 'target', for messages
   * Throws GW1001 (not a connection string), GW2002, GW2003.
   */
  static async connect(name: string, uri: string): Promise<Cluster> {
    let client: MongoClient;
    try {
      client = new MongoClient(uri, {
        appName: 'godwit',
        serverSelectionTimeoutMS: SELECTION_TIMEOUT_MS,
        connectTimeoutMS: CONNECT_TIMEOUT_MS,
        retryReads: true,
        // Ours are control commands: each is made idempotent where it is called.
        retryWrites: false,
        monitorCommands: false,
      });
    } catch (error) {
      throw new GodwitError('GW1001', `The ${name} connection string is not valid: ${plainReason(error)}`, {
        cause: error,
      });
    }
    try {
      await client.connect();
      const hello = await client.db('admin').command({ hello: 1 });
      if (!hello['setName']) {
        throw new GodwitError(
          'GW2002',
          `The ${name} is not a replica set; Godwit needs its oplog (start mongod with --replSet)`,
        );
      }
    } catch (error) {
      await client.close().catch(() => undefined);
      throw fromDriver(error, `connecting to the ${name}`);
    }
    return new Cluster(name, uri, client);
  }

  db(name: string): Db {
    return this.client.db(name);
  }

  /** Runs a command on the primary through the driver; errors come translated. */
  async command(db: string, command: Document, options: Document = {}): Promise<Document> {
    try {
      return await this.client.db(db).command(command, options);
    } catch (error) {
      throw fromDriver(error, `${Object.keys(command)[0]} on the ${this.name}`);
    }
  }

  /** Opens a byte connection to the primary. */
  async connectPrimary(signal?: AbortSignal): Promise<WireConnection> {
    const hello = await this.command('admin', { hello: 1 });
    const address = hello['primary'] as string | undefined;
    if (!address) throw new GodwitError('GW3002', `The ${this.name} has no primary at the moment`);
    return this.#open(address, signal);
  }

  /**
   * Opens a byte connection to a secondary that keeps up (hidden ones are not
   * in `hello`), or to the primary when there is none.
   */
  async connectSecondary(signal?: AbortSignal): Promise<WireConnection> {
    const hello = await this.command('admin', { hello: 1 });
    const primary = hello['primary'] as string | undefined;
    const others = ((hello['hosts'] as string[] | undefined) ?? []).filter(
      (host) => host !== primary && !this.#avoided.has(host),
    );
    for (const address of others) {
      throwIfAborted(signal ?? new AbortController().signal);
      let connection: WireConnection | undefined;
      try {
        connection = await this.#open(address, signal, 2_000);
        if (connection.hello['secondary'] === true && lagSeconds(hello, connection.hello) < 30) return connection;
      } catch {
        // The next member may be better; without any, the primary serves.
      }
      connection?.close();
    }
    return this.connectPrimary(signal);
  }

  /** Opens a byte connection to one member, also one that clients are not told of. */
  connectMember(address: string, signal?: AbortSignal): Promise<WireConnection> {
    return this.#open(address, signal);
  }

  /** `connectSecondary` passes over this member until it is allowed again. */
  avoid(address: string): void {
    this.#avoided.add(address);
  }

  allow(address: string): void {
    this.#avoided.delete(address);
  }

  #open(
    address: string,
    signal: AbortSignal | undefined,
    connectTimeoutMs = CONNECT_TIMEOUT_MS,
  ): Promise<WireConnection> {
    return WireConnection.connect({ ...this.wireTarget(address), connectTimeoutMs }, signal);
  }

  /** How to reach a member, and log in there. Holds secrets. */
  wireTarget(address: string): WireTarget {
    const colon = address.lastIndexOf(':');
    const host = address.slice(0, colon).replace(/^\[|\]$/g, '');
    return {
      host,
      port: Number(address.slice(colon + 1)),
      appName: 'godwit',
      connectTimeoutMs: CONNECT_TIMEOUT_MS,
      socketTimeoutMs: 0,
      tls: this.#tlsOptions(host),
      credentials: this.#credentials(),
    };
  }

  #tlsOptions(host: string): WireTarget['tls'] {
    const options = this.client.options;
    if (!options.tls) return undefined;
    const file = (path: string | undefined) => (path === undefined ? undefined : readFileSync(path));
    const certificate = file(options.tlsCertificateKeyFile);
    return {
      servername: host,
      ca: options.ca ?? file(options.tlsCAFile),
      cert: options.cert ?? certificate,
      key: options.key ?? certificate,
      passphrase: options.passphrase,
      rejectUnauthorized: options.rejectUnauthorized ?? true,
      ...(options.checkServerIdentity ? { checkServerIdentity: options.checkServerIdentity } : {}),
    };
  }

  #credentials(): WireTarget['credentials'] {
    const { credentials } = this.client.options;
    if (!credentials) return undefined;
    const mechanism = MECHANISMS.find((known) => known === credentials.mechanism);
    if (!mechanism && credentials.mechanism !== 'DEFAULT') {
      throw new GodwitError(
        'GW1001',
        `authMechanism ${credentials.mechanism} is not supported; use one of ${MECHANISMS.join(', ')}`,
      );
    }
    return {
      mechanism,
      username: credentials.username || undefined,
      password: credentials.password || undefined,
      source: credentials.source || 'admin',
    };
  }

  /**
   * Writes a note into the oplog, acknowledged by a majority. Every write
   * acknowledged before the call lies before the position returned.
   */
  async note(data: Document): Promise<Position> {
    const reply = await this.command('admin', {
      appendOplogNote: 1,
      data: { godwit: data },
      writeConcern: { w: 'majority', wtimeout: 30_000 },
    });
    const operationTime = reply['operationTime'] as { t: number; i: number } | undefined;
    if (!operationTime)
      throw new GodwitError('GW2002', `The ${this.name} gave no operation time; is it a replica set member?`);
    return positionOfTimestamp(operationTime);
  }

  /** The identity of the replica set, the same whichever way it is addressed. */
  async identity(): Promise<string> {
    const { setName } = await this.members();
    const config = await this.command('local', {
      find: 'system.replset',
      limit: 1,
      projection: { 'settings.replicaSetId': 1 },
    }).catch(() => undefined);
    const id = config?.['cursor']?.firstBatch?.[0]?.settings?.replicaSetId;
    if (id) return `${setName}:${String(id)}`;
    const { hosts } = await this.members();
    return `${setName}:${[...hosts].sort().join(',')}`;
  }

  /** Set name and the members that serve clients. */
  async members(): Promise<{ setName: string; hosts: string[] }> {
    const hello = await this.command('admin', { hello: 1 });
    return { setName: String(hello['setName']), hosts: [...((hello['hosts'] as string[] | undefined) ?? [])] };
  }

  /** Waits until the member behind a connection has all majority writes up to `position`. */
  async waitForMajority(connection: WireConnection, position: Position, signal: AbortSignal): Promise<void> {
    for (;;) {
      throwIfAborted(signal);
      const hello = await connection.run({ hello: 1, $db: 'admin' });
      const last = hello['lastWrite']?.majorityOpTime?.ts as { t: number; i: number } | undefined;
      if (last && positionOfTimestamp(last) >= position) return;
      await systemClock.sleep(20, signal);
    }
  }

  async close(): Promise<void> {
    await this.client.close();
  }
}

function lagSeconds(primaryHello: Document, secondaryHello: Document): number {
  const ahead = primaryHello['lastWrite']?.lastWriteDate as Date | undefined;
  const behind = secondaryHello['lastWrite']?.lastWriteDate as Date | undefined;
  return ahead && behind ? (ahead.getTime() - behind.getTime()) / 1000 : Number.POSITIVE_INFINITY;
}

function plainReason(error: unknown): string {
  return redactUri(error instanceof Error ? error.message : String(error));
}
