import xxhash from '@node-rs/xxhash';

/** Digest of a document's bytes (XXH3, 64 bits), hexadecimal. */
export function digestOf(doc: Buffer): string {
  return xxhash.xxh3.xxh64(doc).toString(16).padStart(16, '0');
}
