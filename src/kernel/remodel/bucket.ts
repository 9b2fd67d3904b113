import { createHash } from 'node:crypto';

/** Ramp and reads are given in parts of this: 100 is 1 %. */
export const BUCKETS = 10_000;

/**
 * The bucket of an identity, 0 to 9999: sticky, and the same in every process,
 * language and store. The first 4 bytes, big-endian, of the MD5 of `name/identity`,
 * modulo 10000. MD5 because every database has it.
 */
export function bucketOf(remodel: string, identity: string): number {
  return createHash('md5').update(`${remodel}/${identity}`).digest().readUInt32BE(0) % BUCKETS;
}
