import { invariant } from '../../../kernel/errors.ts';
import type { BytePath } from '../libc/bytes.ts';

/** Writes values one after another into memory that grows and is used again. */
export class Packer {
  #buffer: Buffer;
  #length = 0;

  constructor(capacity: number) {
    this.#buffer = Buffer.allocUnsafeSlow(capacity);
  }

  get length(): number {
    return this.#length;
  }

  /** What was written; good until the next write after `clear`. */
  get bytes(): Buffer {
    return this.#buffer.subarray(0, this.#length);
  }

  clear(): void {
    this.#length = 0;
  }

  /** Takes back what was written after this length. */
  cutTo(length: number): void {
    this.#length = length;
  }

  // Everywhere below: room first, then the memory, because making room may move it.
  u8(value: number): void {
    const at = this.room(1);
    this.#buffer[at] = value;
  }

  u16(value: number): void {
    const at = this.room(2);
    this.#buffer.writeUInt16LE(value, at);
  }

  u32(value: number): void {
    const at = this.room(4);
    this.#buffer.writeUInt32LE(value, at);
  }

  /** Signed, up to 2^53 either way. */
  long(value: number): void {
    const at = this.room(8);
    this.#buffer.writeUInt32LE(value >>> 0, at);
    this.#buffer.writeInt32LE(Math.floor(value / 0x1_0000_0000), at + 4);
  }

  /** Bytes held one a character, with their length. */
  text(value: BytePath): void {
    this.u32(value.length);
    const at = this.room(value.length);
    this.#buffer.write(value, at, 'latin1');
  }

  blob(value: Buffer): void {
    this.u32(value.length);
    const at = this.room(value.length);
    value.copy(this.#buffer, at);
  }

  /** Makes room for `length` bytes and gives where they go, for who fills them in by himself. */
  room(length: number): number {
    const at = this.#length;
    const need = at + length;
    if (need > this.#buffer.length) {
      const larger = Buffer.allocUnsafeSlow(Math.max(need, this.#buffer.length * 2));
      this.#buffer.copy(larger, 0, 0, at);
      this.#buffer = larger;
    }
    this.#length = need;
    return at;
  }

  /** The memory itself, for `room`. */
  get memory(): Buffer {
    return this.#buffer;
  }
}

/** Reads what a Packer wrote. Whatever the bytes are, it never reads beyond them. */
export class Unpacker {
  readonly #buffer: Buffer;
  #at = 0;

  constructor(buffer: Buffer) {
    this.#buffer = buffer;
  }

  get done(): boolean {
    return this.#at >= this.#buffer.length;
  }

  u8(): number {
    return this.#buffer[this.#take(1)] as number;
  }

  u16(): number {
    return this.#buffer.readUInt16LE(this.#take(2));
  }

  u32(): number {
    return this.#buffer.readUInt32LE(this.#take(4));
  }

  long(): number {
    const at = this.#take(8);
    return this.#buffer.readInt32LE(at + 4) * 0x1_0000_0000 + this.#buffer.readUInt32LE(at);
  }

  text(): BytePath {
    const length = this.u32();
    const at = this.#take(length);
    return this.#buffer.toString('latin1', at, at + length);
  }

  /** A view: copy it to keep it. */
  blob(): Buffer {
    const length = this.u32();
    const at = this.#take(length);
    return this.#buffer.subarray(at, at + length);
  }

  #take(length: number): number {
    const at = this.#at;
    invariant(at + length <= this.#buffer.length, 'A message ends before what it says it holds');
    this.#at = at + length;
    return at;
  }
}
