/**
 * CRC-64 with the polynomial of ECMA-182, reflected, as Go's `hash/crc64` has
 * it: the checksum that mongodump writes behind every namespace of an archive.
 * JavaScript has no 64-bit integers that are fast, so both halves are worked
 * on by themselves, eight bytes at a time.
 */
const POLYNOMIAL_LOW = 0xd7870f42;
const POLYNOMIAL_HIGH = 0xc96c5795;
const SLICES = 8;

/** Table `k` holds, for each byte, what it becomes when `k` more bytes follow. */
const LOW = new Uint32Array(256 * SLICES);
const HIGH = new Uint32Array(256 * SLICES);

for (let byte = 0; byte < 256; byte += 1) {
  let low = byte;
  let high = 0;
  for (let bit = 0; bit < 8; bit += 1) {
    const odd = low & 1;
    low = ((low >>> 1) | (high << 31)) >>> 0;
    high >>>= 1;
    if (odd) {
      low = (low ^ POLYNOMIAL_LOW) >>> 0;
      high = (high ^ POLYNOMIAL_HIGH) >>> 0;
    }
  }
  LOW[byte] = low;
  HIGH[byte] = high;
}
for (let k = 1; k < SLICES; k += 1) {
  for (let byte = 0; byte < 256; byte += 1) {
    const before = (k - 1) * 256 + byte;
    const low = LOW[before]!;
    const index = low & 0xff;
    LOW[k * 256 + byte] = (((low >>> 8) | (HIGH[before]! << 24)) ^ LOW[index]!) >>> 0;
    HIGH[k * 256 + byte] = ((HIGH[before]! >>> 8) ^ HIGH[index]!) >>> 0;
  }
}

/** Sums up what it is given, piece by piece. */
export class Crc64 {
  #low = 0xffffffff;
  #high = 0xffffffff;

  update(bytes: Buffer): this {
    let low = this.#low;
    let high = this.#high;
    const { length } = bytes;
    let at = 0;
    for (; at + 8 <= length; at += 8) {
      low ^= bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24);
      high ^= bytes[at + 4]! | (bytes[at + 5]! << 8) | (bytes[at + 6]! << 16) | (bytes[at + 7]! << 24);
      const a = 1792 + (low & 0xff);
      const b = 1536 + ((low >>> 8) & 0xff);
      const c = 1280 + ((low >>> 16) & 0xff);
      const d = 1024 + (low >>> 24);
      const e = 768 + (high & 0xff);
      const f = 512 + ((high >>> 8) & 0xff);
      const g = 256 + ((high >>> 16) & 0xff);
      const h = high >>> 24;
      low = LOW[a]! ^ LOW[b]! ^ LOW[c]! ^ LOW[d]! ^ LOW[e]! ^ LOW[f]! ^ LOW[g]! ^ LOW[h]!;
      high = HIGH[a]! ^ HIGH[b]! ^ HIGH[c]! ^ HIGH[d]! ^ HIGH[e]! ^ HIGH[f]! ^ HIGH[g]! ^ HIGH[h]!;
    }
    for (; at < length; at += 1) {
      const index = (low ^ bytes[at]!) & 0xff;
      low = ((low >>> 8) | (high << 24)) ^ LOW[index]!;
      high = (high >>> 8) ^ HIGH[index]!;
    }
    this.#low = low >>> 0;
    this.#high = high >>> 0;
    return this;
  }

  /** The sum so far, as unsigned 64 bits. */
  get value(): bigint {
    return (BigInt(~this.#high >>> 0) << 32n) | BigInt(~this.#low >>> 0);
  }
}
