import type { BlockSizes, Extent, Volume } from '../../kernel/protect/volume.ts';
import type { Request } from './engine/primary.ts';
import { FLAG } from './engine/record.ts';

/** One operation's payload at most: a fraction of the smallest ring. */
const MOST = 1 << 20;
/** Of zeroes and trims, which have no payload. */
const MOST_ZEROES = 1 << 30;

/** The primary, or a DR that took over. */
interface Sequencer {
  read(offset: number, into: Buffer): Promise<void>;
  submit(request: Request, answer: (error?: Error) => void): void;
  mayTell?(): 'now' | 'later' | 'never';
}

/** A sequencer as a block device: every write gets its place in the order before it is answered. */
export class ProtectedVolume implements Volume {
  readonly blockSizes: BlockSizes = { least: 512, preferred: 4096, most: 32 << 20 };
  /** One sequencer for all. */
  readonly coversAllConnections = true;
  readonly fastZeroes = false;
  readonly #sequencer: Sequencer;
  readonly #size: () => number;

  constructor(sequencer: Sequencer, size: () => number) {
    this.#sequencer = sequencer;
    this.#size = size;
  }

  /** It may grow: clients see it when they connect. */
  get size(): number {
    return this.#size();
  }

  mayTell = (): 'now' | 'later' | 'never' => this.#sequencer.mayTell?.() ?? 'now';

  read(offset: number, into: Buffer): Promise<void> {
    return this.#sequencer.read(offset, into);
  }

  async write(offset: number, data: Buffer, durable: boolean): Promise<void> {
    const flags = durable ? FLAG.fua : 0;
    if (data.length <= MOST) {
      return this.#submit({ kind: 'write', offset, length: data.length, payload: data, flags });
    }
    const parts: Promise<void>[] = [];
    for (let at = 0; at < data.length; at += MOST) {
      const payload = data.subarray(at, at + MOST);
      parts.push(this.#submit({ kind: 'write', offset: offset + at, length: payload.length, payload, flags }));
    }
    await Promise.all(parts);
  }

  writeZeroes(
    offset: number,
    length: number,
    { durable, mayTrim }: { readonly durable: boolean; readonly mayTrim: boolean },
  ): Promise<void> {
    return this.#clear('zeroes', offset, length, (durable ? FLAG.fua : 0) | (mayTrim ? FLAG.mayTrim : 0));
  }

  trim(offset: number, length: number, durable: boolean): Promise<void> {
    return this.#clear('trim', offset, length, (durable ? FLAG.fua : 0) | FLAG.mayTrim);
  }

  flush(): Promise<void> {
    return this.#submit({ kind: 'flush', offset: 0, length: 0, flags: 0 });
  }

  /** What is allocated is not looked at: all of it is data. */
  async extents(_offset: number, length: number): Promise<readonly Extent[]> {
    return [{ length, hole: false, zero: false }];
  }

  async #clear(kind: 'zeroes' | 'trim', offset: number, length: number, flags: number): Promise<void> {
    const parts: Promise<void>[] = [];
    for (let at = 0; at < length; at += MOST_ZEROES) {
      parts.push(this.#submit({ kind, offset: offset + at, length: Math.min(MOST_ZEROES, length - at), flags }));
    }
    await Promise.all(parts);
  }

  #submit(request: Request): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#sequencer.submit(request, (error) => (error ? reject(error) : resolve()));
    });
  }
}
