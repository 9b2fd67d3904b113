import { randomBytes } from 'node:crypto';
import { type NbdServer, serveNbd } from '../../../adapters/nbd/index.ts';
import type { AreaServer, Done, MountedArea } from '../../../kernel/protect/ports.ts';
import type { Extent, Volume } from '../../../kernel/protect/volume.ts';
import type { HostPort } from '../api.ts';

const NAME_BYTES = 16;

/** The auxiliary's area as exports of NBD: each time it is offered under a name that nobody has had before. */
export class NbdAreaServer implements AreaServer {
  readonly #server: NbdServer;
  readonly #volume: string;

  private constructor(server: NbdServer, volume: string) {
    this.#server = server;
    this.#volume = volume;
  }

  static async listen(at: HostPort, volume: string, key: Buffer | undefined): Promise<NbdAreaServer> {
    const server = await serveNbd({ address: at, exports: [], ...(key === undefined ? {} : { tls: { key } }) });
    return new NbdAreaServer(server, volume);
  }

  offer(area: MountedArea): string {
    const name = `${this.#volume}-${randomBytes(NAME_BYTES).toString('hex')}`;
    this.#server.offer({ name, volume: new AreaVolume(area) });
    const { address } = this.#server;
    return `${'port' in address ? address.port : 0}/${name}`;
  }

  withdraw(where: string): void {
    this.#server.withdraw(where.slice(where.indexOf('/') + 1));
  }

  close(): Promise<void> {
    return this.#server.close(0);
  }
}

/** An area as whoever mounts it sees it: bytes, in the words of a block device. */
class AreaVolume implements Volume {
  readonly size: number;
  readonly blockSizes = { least: 1, preferred: 4096, most: 32 << 20 };
  readonly coversAllConnections = true;
  readonly fastZeroes = false;
  readonly #area: MountedArea;

  constructor(area: MountedArea) {
    this.#area = area;
    this.size = area.bytes;
  }

  read(offset: number, into: Buffer): Promise<void> {
    return this.#area.read(offset, into);
  }

  write(offset: number, data: Buffer, durable: boolean): Promise<void> {
    return promised((done) =>
      durable ? this.#area.writeDurably(offset, data, done) : this.#area.write(offset, data, done),
    );
  }

  async writeZeroes(offset: number, length: number, { durable }: { readonly durable: boolean }): Promise<void> {
    await promised((done) => this.#area.clear(offset, length, done));
    if (durable) await this.flush();
  }

  /** Nothing of it is ever of no use to whoever looks for a chain. */
  async trim(): Promise<void> {}

  flush(): Promise<void> {
    return promised((done) => this.#area.sync(done));
  }

  async extents(_offset: number, length: number): Promise<readonly Extent[]> {
    return [{ length, hole: false, zero: false }];
  }
}

function promised(act: (done: Done) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    act((error) => (error ? reject(error) : resolve()));
  });
}
