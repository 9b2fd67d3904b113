import { setTimeout as sleep } from 'node:timers/promises';
import { GodwitError } from '../../kernel/errors.ts';
import type { BlockSizes, Extent, Volume } from '../../kernel/protect/volume.ts';
import { NbdClient } from './client.ts';
import type { NbdAddress } from './server.ts';
import { Unflushed } from './unflushed.ts';

export interface LastingOptions {
  /** Where the export may be served; the first that serves it is used, and after a loss all are tried in turn. */
  readonly addresses: readonly NbdAddress[];
  readonly exportName: string;
  /** For so long requests wait for a server that is gone. After that nothing is ever sent again. Milliseconds. */
  readonly graceMs: number;
  /** Of what no flush has covered, that much is held; then one is made. Default: 64 MiB. */
  readonly mostUnflushed?: number;
  readonly onLost?: (why: string) => void;
  /** With the changes that were made again. */
  readonly onBack?: (address: NbdAddress, repeated: number) => void;
}

const MOST_UNFLUSHED = 64 << 20;
const PAUSE_MS = 100;
/** How long a server may take to show that it serves: one that waits for others does not, and another may. */
const PROBE_MS = 3_000;

/**
 * An export of a server that may be killed and started again, or taken over by another one, as a volume that lives on:
 * requests under way are sent once more, after everything that was answered and not flushed. For the user it was slow.
 *
 * It is right only while nobody else uses the volume, which is why it ends for good when the grace is over.
 */
export class LastingVolume implements Volume, AsyncDisposable {
  readonly size: number;
  readonly blockSizes: BlockSizes;
  /** One log of what is not flushed, for all. */
  readonly coversAllConnections = true;
  readonly fastZeroes = false;
  /** Resolves when it has ended, with why unless it was `close`. */
  readonly ended: Promise<GodwitError | undefined>;
  readonly #options: LastingOptions;
  readonly #unflushed = new Unflushed();
  #client: NbdClient | undefined;
  #waiting: { resolve: (client: NbdClient) => void; reject: (error: GodwitError) => void }[] = [];
  #end: GodwitError | undefined;
  #flushing: Promise<void> | undefined;
  #sayEnd: (error: GodwitError | undefined) => void = () => {};

  /**
   * Waits for a server that is not there yet for as long as for one that is gone.
   * @throws GodwitError what the last address said when none serves the export
   */
  static async open(options: LastingOptions): Promise<LastingVolume> {
    const [address, client] = await firstOf(options);
    const volume = new LastingVolume(options, client);
    options.onBack?.(address, 0);
    volume.#use(client);
    return volume;
  }

  private constructor(options: LastingOptions, { size, blockSizes }: NbdClient) {
    this.#options = options;
    this.size = size;
    this.blockSizes = blockSizes;
    this.ended = new Promise((resolve) => {
      this.#sayEnd = resolve;
    });
  }

  read(offset: number, into: Buffer): Promise<void> {
    return this.#run((client) => client.read(offset, into));
  }

  async write(offset: number, data: Buffer, durable: boolean): Promise<void> {
    await this.#room();
    await this.#run((client) => client.write(offset, data, false));
    this.#unflushed.add({ kind: 'write', offset, length: data.length, data: Buffer.from(data) });
    await this.#ensure(durable);
  }

  async writeZeroes(
    offset: number,
    length: number,
    { durable, mayTrim }: { readonly durable: boolean; readonly mayTrim: boolean },
  ): Promise<void> {
    await this.#room();
    await this.#run((client) => client.writeZeroes(offset, length, { durable: false, mayTrim }));
    this.#unflushed.add({ kind: 'zeroes', offset, length, mayTrim });
    await this.#ensure(durable);
  }

  async trim(offset: number, length: number, durable: boolean): Promise<void> {
    await this.#room();
    await this.#run((client) => client.trim(offset, length, false));
    this.#unflushed.add({ kind: 'trim', offset, length });
    await this.#ensure(durable);
  }

  async flush(): Promise<void> {
    const { next } = this.#unflushed;
    await this.#run((client) => client.flush());
    this.#unflushed.drop(next);
  }

  extents(offset: number, length: number): Promise<readonly Extent[]> {
    return this.#run((client) => client.extents(offset, length));
  }

  /** Ends it; what is under way is answered before, where there is a server. */
  async close(): Promise<void> {
    const client = this.#client;
    this.#finish(new GodwitError('GW8001', 'The volume was closed'));
    await client?.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /**
   * A durable write is a write and a flush: a server that crashes between two writes of one place, the older of which was
   * not flushed, would be told the older one once more, over what is durable.
   */
  async #ensure(durable: boolean): Promise<void> {
    if (durable) await this.flush();
  }

  async #room(): Promise<void> {
    while (this.#unflushed.bytes > (this.#options.mostUnflushed ?? MOST_UNFLUSHED)) {
      this.#flushing ??= this.flush().finally(() => {
        this.#flushing = undefined;
      });
      await this.#flushing;
    }
  }

  /** Until one server has answered it, and was not lost by then. */
  async #run<T>(act: (client: NbdClient) => Promise<T>): Promise<T> {
    for (;;) {
      const client = this.#client ?? (await this.#back());
      try {
        const result = await act(client);
        if (this.#client === client) return result;
      } catch (error) {
        if (!(error instanceof GodwitError) || error.code !== 'GW3001') throw error;
        this.#lost(client, error);
      }
      if (this.#end !== undefined) throw this.#end;
    }
  }

  #back(): Promise<NbdClient> {
    if (this.#end !== undefined) return Promise.reject(this.#end);
    return new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }));
  }

  #use(client: NbdClient): void {
    this.#client = client;
    for (const { resolve } of this.#waiting.splice(0)) resolve(client);
    void client.closed.then((why) => this.#lost(client, why));
  }

  #lost(client: NbdClient, why: GodwitError | undefined): void {
    if (this.#client !== client) return;
    this.#client = undefined;
    void client.close();
    if (this.#end !== undefined) return;
    this.#options.onLost?.(why?.message ?? 'closed');
    void this.#return();
  }

  async #return(): Promise<void> {
    const until = performance.now() + this.#options.graceMs;
    const timer = setTimeout(() => this.#finish(graceOver(this.#options.graceMs)), this.#options.graceMs);
    while (this.#end === undefined) {
      try {
        const [address, client] = await connect(this.#options, this.size);
        try {
          const { count } = this.#unflushed;
          await this.#unflushed.replay(client);
          if (this.#end !== undefined || performance.now() > until) {
            void client.close();
            break;
          }
          this.#use(client);
          this.#options.onBack?.(address, count);
          break;
        } catch (error) {
          void client.close();
          throw error;
        }
      } catch {
        await sleep(PAUSE_MS);
      }
    }
    clearTimeout(timer);
  }

  #finish(error: GodwitError): void {
    if (this.#end !== undefined) return;
    this.#end = error;
    for (const { reject } of this.#waiting.splice(0)) reject(error);
    this.#sayEnd(error.code === 'GW8001' ? undefined : error);
  }
}

async function firstOf(options: LastingOptions): Promise<readonly [NbdAddress, NbdClient]> {
  const until = performance.now() + options.graceMs;
  for (;;) {
    try {
      return await connect(options, 0);
    } catch (error) {
      const isAway = error instanceof GodwitError && error.code === 'GW3001';
      if (!isAway || performance.now() > until) throw error;
      await sleep(PAUSE_MS);
    }
  }
}

/** The first that serves the export now, and at least that much of it. */
async function connect(
  { addresses, exportName }: LastingOptions,
  size: number,
): Promise<readonly [NbdAddress, NbdClient]> {
  let last: unknown = new GodwitError('GW1001', 'There is no address');
  for (const address of addresses) {
    let client: NbdClient | undefined;
    try {
      client = await NbdClient.connect({ address, exportName, connectMs: PROBE_MS });
      if (client.size < size || client.isReadOnly) {
        throw new GodwitError('GW2202', 'The block server offers another volume than before');
      }
      // One that was deposed refuses, and one that hears nobody is silent.
      const probe = client.read(0, Buffer.alloc(client.blockSizes.least));
      await (addresses.length === 1 ? probe : inTime(probe));
      return [address, client];
    } catch (error) {
      void client?.close();
      last = error;
    }
  }
  throw last;
}

async function inTime(probe: Promise<void>): Promise<void> {
  const stop = new AbortController();
  const late = sleep(PROBE_MS, undefined, { signal: stop.signal }).then(() => {
    throw new GodwitError('GW3001', `The block server did not read within ${PROBE_MS} ms`);
  });
  try {
    await Promise.race([probe, late]);
  } finally {
    stop.abort();
    late.catch(() => undefined);
  }
}

function graceOver(graceMs: number): GodwitError {
  return new GodwitError('GW7031', `The volume was served nowhere for ${graceMs / 1000} s`);
}
