/** Areas made of areas. */
import type { Area, Done } from '../../../kernel/protect/ports.ts';
import { gather } from './group-commit.ts';

/** A stretch of an area, as an area. */
export class Part implements Area {
  readonly bytes: number;
  readonly #area: Area;
  readonly #from: number;

  constructor(area: Area, from: number, bytes: number) {
    this.#area = area;
    this.#from = from;
    this.bytes = bytes;
  }

  read(position: number, into: Buffer): Promise<void> {
    return this.#area.read(this.#from + position, into);
  }

  write(position: number, data: Buffer, done: Done): void {
    this.#area.write(this.#from + position, data, done);
  }

  clear(position: number, bytes: number, done: Done): void {
    this.#area.clear(this.#from + position, bytes, done);
  }

  sync(done: Done): void {
    this.#area.sync(done);
  }
}

/** Two areas, one behind the other. */
export class Joined implements Area {
  readonly bytes: number;
  readonly #first: Area;
  readonly #second: Area;

  constructor(first: Area, second: Area) {
    this.#first = first;
    this.#second = second;
    this.bytes = first.bytes + second.bytes;
  }

  async read(position: number, into: Buffer): Promise<void> {
    for (const { area, at, from, to } of this.#split(position, into.length)) {
      await area.read(at, into.subarray(from, to));
    }
  }

  write(position: number, data: Buffer, done: Done): void {
    const parts = this.#split(position, data.length);
    const written = gather(parts.length, done);
    for (const { area, at, from, to } of parts) area.write(at, data.subarray(from, to), written);
  }

  clear(position: number, bytes: number, done: Done): void {
    const parts = this.#split(position, bytes);
    const cleared = gather(parts.length, done);
    for (const { area, at, from, to } of parts) area.clear(at, to - from, cleared);
  }

  sync(done: Done): void {
    const synced = gather(2, done);
    this.#first.sync(synced);
    this.#second.sync(synced);
  }

  /** Only what the bytes lie in. */
  syncOf(position: number, bytes: number, done: Done): void {
    const parts = this.#split(position, bytes);
    const synced = gather(parts.length, done);
    for (const { area } of parts) area.sync(synced);
  }

  #split(position: number, bytes: number): { area: Area; at: number; from: number; to: number }[] {
    const border = this.#first.bytes;
    const cut = Math.min(Math.max(border - position, 0), bytes);
    const parts = [];
    if (cut > 0) parts.push({ area: this.#first, at: position, from: 0, to: cut });
    if (cut < bytes) parts.push({ area: this.#second, at: position + cut - border, from: cut, to: bytes });
    return parts;
  }
}
