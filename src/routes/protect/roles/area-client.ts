import { NbdClient } from '../../../adapters/nbd/index.ts';
import { GodwitError } from '../../../kernel/errors.ts';
import type { AreaClient, Done, MountedArea } from '../../../kernel/protect/ports.ts';

const CONNECT_MS = 3_000;

/** Mounts the auxiliary's area by NBD. It lies in this process: no device of the system, and no cache, is between. */
export class NbdAreaClient implements AreaClient {
  readonly #host: string;
  readonly #key: Buffer | undefined;
  readonly #mounted = new Set<NbdClient>();
  #isClosed = false;

  constructor(host: string, key: Buffer | undefined) {
    this.#host = host;
    this.#key = key;
  }

  async mount(where: string): Promise<MountedArea> {
    const [, port, exportName] = /^(\d+)\/(.+)$/.exec(where) ?? [];
    if (port === undefined || exportName === undefined) {
      throw new GodwitError('GW5203', `The auxiliary names no place where its area is: ${where}`);
    }
    const client = await NbdClient.connect({
      address: { host: this.#host, port: Number(port) },
      exportName,
      connectMs: CONNECT_MS,
      ...(this.#key === undefined ? {} : { tls: { key: this.#key } }),
    });
    this.#mounted.add(client);
    void client.closed.then(() => this.#mounted.delete(client));
    if (this.#isClosed) client.abandon();
    return new NbdArea(client);
  }

  close(): void {
    this.#isClosed = true;
    for (const client of this.#mounted) client.abandon();
  }
}

class NbdArea implements MountedArea {
  readonly bytes: number;
  readonly #client: NbdClient;

  constructor(client: NbdClient) {
    this.#client = client;
    this.bytes = client.size;
  }

  read(position: number, into: Buffer): Promise<void> {
    return this.#client.read(position, into);
  }

  write(position: number, data: Buffer, done: Done): void {
    told(this.#client.write(position, data, false), done);
  }

  writeDurably(position: number, data: Buffer, done: Done): void {
    told(this.#client.write(position, data, true), done);
  }

  clear(position: number, bytes: number, done: Done): void {
    told(this.#client.writeZeroes(position, bytes, { durable: false, mayTrim: false }), done);
  }

  sync(done: Done): void {
    told(this.#client.flush(), done);
  }

  close(): void {
    this.#client.abandon();
  }
}

function told(work: Promise<void>, done: Done): void {
  work.then(
    () => done(),
    (error: unknown) => done(error as Error),
  );
}
