/**
 * Writes BSON into one growing buffer, mostly from slices of other BSON.
 * Update statements are built by the hundred thousand, so an element costs no
 * allocation, and one builder is used again and again.
 */
import { GodwitError, invariant } from '../../../kernel/errors.ts';
import { BSON_TYPE } from './types.ts';

/** A number is written as its decimal digits: the names of an array's elements. */
export type ElementName = string | number | Buffer;

/** Below this a loop beats the call into native code (measured on Node 20). */
const LOOP_COPY_LIMIT = 32;

export class BsonBuilder {
  #buf: Buffer;
  #at = 0;
  /** Offsets of the documents that are open, outermost first. */
  readonly #open: number[] = [];
  #documents = 0;

  constructor(initialSize = 4096) {
    this.#buf = Buffer.allocUnsafeSlow(Math.max(initialSize, 64));
  }

  /** Bytes written since `reset`. */
  get length(): number {
    return this.#at;
  }

  /** Whole documents written since `reset`. */
  get documents(): number {
    return this.#documents;
  }

  /** Starts a top-level document. Several may follow each other: that is a document sequence. */
  begin(): this {
    invariant(this.#open.length === 0, 'A BSON document was begun inside another');
    return this.#openHere();
  }

  startDocument(name: ElementName): this {
    this.#header(BSON_TYPE.object, name);
    return this.#openHere();
  }

  startArray(name: ElementName): this {
    this.#header(BSON_TYPE.array, name);
    return this.#openHere();
  }

  /** Closes the innermost open document or array. */
  end(): this {
    const start = this.#open.pop();
    if (start === undefined) throw new GodwitError('GW9001', 'A BSON document was ended that is not open');
    this.#reserve(1);
    this.#buf[this.#at++] = 0;
    this.#buf.writeInt32LE(this.#at - start, start);
    if (this.#open.length === 0) this.#documents++;
    return this;
  }

  /** Appends a whole document at the top level, from bytes. */
  appendRaw(bytes: Buffer, start = 0, end = bytes.length): this {
    invariant(this.#open.length === 0, 'A raw BSON document was appended inside another');
    this.#copy(bytes, start, end);
    this.#documents++;
    return this;
  }

  /** Appends an element whose value is given as bytes: `value[start, end)`. */
  appendElement(type: number, name: ElementName, value: Buffer, start = 0, end = value.length): this {
    this.#header(type, name);
    this.#copy(value, start, end);
    return this;
  }

  appendDocument(name: ElementName, doc: Buffer, start = 0, end = doc.length): this {
    return this.appendElement(BSON_TYPE.object, name, doc, start, end);
  }

  appendArray(name: ElementName, array: Buffer, start = 0, end = array.length): this {
    return this.appendElement(BSON_TYPE.array, name, array, start, end);
  }

  appendInt32(name: ElementName, value: number): this {
    this.#header(BSON_TYPE.int32, name);
    this.#reserve(4);
    this.#at = this.#buf.writeInt32LE(value, this.#at);
    return this;
  }

  appendInt64(name: ElementName, value: bigint): this {
    this.#header(BSON_TYPE.int64, name);
    this.#reserve(8);
    this.#at = this.#buf.writeBigInt64LE(value, this.#at);
    return this;
  }

  appendDouble(name: ElementName, value: number): this {
    this.#header(BSON_TYPE.double, name);
    this.#reserve(8);
    this.#at = this.#buf.writeDoubleLE(value, this.#at);
    return this;
  }

  appendString(name: ElementName, value: string): this {
    this.#header(BSON_TYPE.string, name);
    const room = value.length * 3 + 5;
    this.#reserve(room);
    const written = this.#buf.write(value, this.#at + 4, 'utf8');
    this.#buf.writeInt32LE(written + 1, this.#at);
    this.#at += 4 + written;
    this.#buf[this.#at++] = 0;
    return this;
  }

  appendBool(name: ElementName, value: boolean): this {
    this.#header(BSON_TYPE.bool, name);
    this.#reserve(1);
    this.#buf[this.#at++] = value ? 1 : 0;
    return this;
  }

  appendNull(name: ElementName): this {
    this.#header(BSON_TYPE.null, name);
    return this;
  }

  /** Appends a timestamp given as its unsigned 64 bits, as `readTimestamp` gives it. */
  appendTimestamp(name: ElementName, value: bigint): this {
    this.#header(BSON_TYPE.timestamp, name);
    this.#reserve(8);
    this.#at = this.#buf.writeBigUInt64LE(value, this.#at);
    return this;
  }

  /**
   * All that was written since `reset`: a view, valid until the next `reset`.
   * Bytes handed to a socket are in use until the reply has come.
   */
  finish(): Buffer {
    invariant(this.#open.length === 0, 'A BSON document was left open');
    return this.#buf.subarray(0, this.#at);
  }

  /** Forgets what was written and keeps the memory. */
  reset(): this {
    this.#at = 0;
    this.#open.length = 0;
    this.#documents = 0;
    return this;
  }

  #openHere(): this {
    this.#open.push(this.#at);
    this.#reserve(4);
    this.#at += 4;
    return this;
  }

  #header(type: number, name: ElementName): void {
    invariant(this.#open.length > 0, 'A BSON element was appended outside a document');
    this.#reserve(1);
    this.#buf[this.#at++] = type;
    if (typeof name === 'string') this.#name(name);
    else if (typeof name === 'number') this.#name(String(name));
    else this.#rawName(name);
    this.#reserve(1);
    this.#buf[this.#at++] = 0;
  }

  #name(name: string): void {
    const length = name.length;
    this.#reserve(length * 3);
    const start = this.#at;
    for (let i = 0; i < length; i++) {
      const code = name.charCodeAt(i);
      if (code === 0) throw nulInName();
      if (code > 0x7f) {
        if (name.includes('\0')) throw nulInName();
        this.#at = start + this.#buf.write(name, start, 'utf8');
        return;
      }
      this.#buf[start + i] = code;
    }
    this.#at = start + length;
  }

  #rawName(name: Buffer): void {
    if (name.includes(0)) throw nulInName();
    this.#copy(name, 0, name.length);
  }

  #copy(from: Buffer, start: number, end: number): void {
    const length = end - start;
    this.#reserve(length);
    const to = this.#buf;
    const at = this.#at;
    if (length <= LOOP_COPY_LIMIT) {
      for (let i = 0; i < length; i++) to[at + i] = from[start + i]!;
    } else {
      from.copy(to, at, start, end);
    }
    this.#at = at + length;
  }

  #reserve(more: number): void {
    const needed = this.#at + more;
    if (needed <= this.#buf.length) return;
    const grown = Buffer.allocUnsafeSlow(Math.max(needed, this.#buf.length * 2));
    this.#buf.copy(grown, 0, 0, this.#at);
    this.#buf = grown;
  }
}

function nulInName(): GodwitError {
  return new GodwitError('GW9001', 'A field name with a NUL cannot be written in BSON');
}
