/**
 * Marvin32, the checksum of log entries: 64 bits of state, mixed a word at a
 * time. Described in US patent 20130262421 and published by Microsoft; test
 * vectors are those of .NET.
 */

/** Low and high word of the seed; the result is the same pair. */
export function marvin32(bytes: Buffer, seed: readonly [number, number]): readonly [number, number] {
  let [low, high] = seed;
  const mix = (word: number): void => {
    low = (low + word) | 0;
    high ^= low;
    low = (((low << 20) | (low >>> 12)) + high) | 0;
    high = ((high << 9) | (high >>> 23)) ^ low;
    low = (((low << 27) | (low >>> 5)) + high) | 0;
    high = (high << 19) | (high >>> 13);
  };
  const whole = bytes.length & ~3;
  for (let at = 0; at < whole; at += 4) mix(bytes.readInt32LE(at));
  let last = 0x80;
  for (let at = bytes.length - 1; at >= whole; at -= 1) last = (last << 8) | bytes[at]!;
  mix(last);
  mix(0);
  return [low >>> 0, high >>> 0];
}
