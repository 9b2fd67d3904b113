/**
 * A small value that is replaced as a whole, durably: two slots written in turn,
 * each with a generation and a checksum, so that a torn write leaves the one before.
 */
import { crc32 } from 'node:zlib';
import { invariant } from '../../../kernel/errors.ts';
import type { Area, Done } from '../../../kernel/protect/ports.ts';

const SLOT = 4096;
const HEAD = 16;
export const SUPERBLOCK_BYTES = 2 * SLOT;

/** Resolves when all that was written to the area survives a crash. */
export function synced(area: Area): Promise<void> {
  return new Promise((resolve, reject) => {
    area.sync((error) => (error ? reject(error) : resolve()));
  });
}

/** As `save`. */
export function kept<T>(state: Superblock<T>, change: Partial<T>): Promise<void> {
  return new Promise((resolve, reject) => {
    state.save(change, (error) => (error ? reject(error) : resolve()));
  });
}

export class Superblock<T> {
  readonly #area: Area;
  #value: T;
  #generation: number;
  #running = false;
  #wanted: Done[] = [];

  private constructor(area: Area, value: T, generation: number) {
    this.#area = area;
    this.#value = value;
    this.#generation = generation;
  }

  /** What was kept; `initial` where nothing ever was. */
  static async open<T>(area: Area, initial: T): Promise<Superblock<T>> {
    await synced(area);
    const newest = await read<T>(area);
    return new Superblock(area, newest?.value ?? initial, newest?.generation ?? 0);
  }

  /** What is there now, durable or not, while somebody else may be changing it. */
  static async glance<T>(area: Area): Promise<T | undefined> {
    return (await read<T>(area))?.value;
  }

  /** Whether anything was ever kept. */
  get isNew(): boolean {
    return this.#generation === 0;
  }

  /** The newest value, which may not be durable yet. */
  get value(): T {
    return this.#value;
  }

  /** Changes the value; `done` when this change is durable. Changes made meanwhile go together. */
  save(change: Partial<T>, done: Done): void {
    this.#value = { ...this.#value, ...change };
    this.#wanted.push(done);
    if (!this.#running) this.#write();
  }

  #write(): void {
    const wanted = this.#wanted;
    this.#wanted = [];
    this.#running = true;
    this.#generation += 1;
    const finish: Done = (error) => {
      this.#running = false;
      for (const done of wanted) done(error);
      if (!this.#running && this.#wanted.length > 0) this.#write();
    };
    const slot = (this.#generation % 2) * SLOT;
    this.#area.write(slot, encode(this.#generation, this.#value), (error) => {
      if (error) finish(error);
      else this.#area.sync(finish);
    });
  }
}

async function read<T>(area: Area): Promise<{ generation: number; value: T } | undefined> {
  const bytes = Buffer.alloc(SUPERBLOCK_BYTES);
  await area.read(0, bytes);
  const kept = [0, 1].map((slot) => decode<T>(bytes.subarray(slot * SLOT, (slot + 1) * SLOT)));
  return kept.sort((a, b) => (b?.generation ?? 0) - (a?.generation ?? 0))[0];
}

function encode(generation: number, value: unknown): Buffer {
  const text = Buffer.from(JSON.stringify(value));
  invariant(text.length <= SLOT - HEAD, 'A superblock is too long');
  const out = Buffer.alloc(HEAD + text.length);
  out.writeUInt32LE(text.length, 4);
  out.writeDoubleLE(generation, 8);
  text.copy(out, HEAD);
  out.writeUInt32LE(crc32(out.subarray(4)), 0);
  return out;
}

function decode<T>(slot: Buffer): { generation: number; value: T } | undefined {
  const length = slot.readUInt32LE(4);
  if (length === 0 || length > SLOT - HEAD) return undefined;
  if (crc32(slot.subarray(4, HEAD + length)) !== slot.readUInt32LE(0)) return undefined;
  return { generation: slot.readDoubleLE(8), value: JSON.parse(slot.toString('utf8', HEAD, HEAD + length)) as T };
}
