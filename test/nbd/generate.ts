import type { Rng } from '../torture/rng.ts';
import { ILLEGAL_TYPES, type Terms } from './model.ts';
import {
  BLOCK_STATUS,
  DF,
  FAST_ZERO,
  FLUSH,
  FUA,
  NO_HOLE,
  READ,
  REQ_ONE,
  type Request,
  TRIM,
  WRITE,
  WRITE_ZEROES,
} from './words.ts';

/** A refused write's payload is drained whatever its length; this much is enough to try it. */
const LONGEST_PAYLOAD = 200_000;

function payloadOf(rng: Rng, length: number): Buffer {
  const bytes = Buffer.allocUnsafe(length);
  let state = rng.int(0x7fffffff) | 1;
  let i = 0;
  for (; i + 4 <= length; i += 4) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) | 0;
    bytes.writeInt32LE(state, i);
  }
  for (; i < length; i++) bytes[i] = i;
  return bytes;
}

function cookieOf(rng: Rng, number: number): bigint {
  return (BigInt(rng.int(2 ** 32)) << 32n) | BigInt(number);
}

/** A place in the export: mostly short, mostly aligned, now and then long or odd. */
function place(rng: Rng, { size, least }: Terms): { offset: number; length: number } {
  const unit = rng.chance(0.7) ? Math.max(least, 512) : least;
  const most = rng.chance(0.03) ? 96 * 1024 : rng.chance(0.2) ? 16 * 1024 : 4096;
  const length = rng.between(1, Math.max(1, Math.floor(most / unit))) * unit;
  const hot = rng.chance(0.3) ? 64 * 1024 : size;
  const offset = rng.int(Math.floor((Math.min(hot, size) - length) / unit) + 1) * unit;
  return { offset: Math.max(0, offset), length: Math.min(length, size) };
}

/** One request: most are legal, and of the others each breaks one rule or several. `number` makes its cookie unique. */
export function generate(rng: Rng, terms: Terms, number: number): Request {
  const cookie = cookieOf(rng, number);
  const { offset, length } = place(rng, terms);
  const roll = rng.next();
  let type: number = WRITE;
  if (roll < 0.36) type = READ;
  else if (roll < 0.76) type = WRITE;
  else if (roll < 0.83) type = WRITE_ZEROES;
  else if (roll < 0.89) type = TRIM;
  else if (roll < 0.93) type = FLUSH;
  else if (roll < 0.97 && terms.allocation) type = BLOCK_STATUS;
  let flags = rng.chance(0.03) ? FUA : 0;
  if (type === READ && terms.structured && rng.chance(0.2)) flags |= DF;
  if (type === WRITE_ZEROES && rng.chance(0.4)) flags |= NO_HOLE;
  if (type === WRITE_ZEROES && rng.chance(0.1)) flags |= FAST_ZERO;
  if (type === BLOCK_STATUS && rng.chance(0.5)) flags |= REQ_ONE;
  const legal = {
    type,
    flags,
    cookie,
    offset: type === FLUSH ? 0n : BigInt(offset),
    length: type === FLUSH ? 0 : length,
  };
  const broken = rng.chance(0.12) ? breakIt(rng, terms, legal) : legal;
  return broken.type === WRITE ? { ...broken, payload: payloadOf(rng, broken.length) } : broken;
}

function breakIt(rng: Rng, { size, least, most }: Terms, request: Request): Request {
  const { type, offset, length, flags } = request;
  const end = BigInt(size);
  switch (rng.int(8)) {
    case 0:
      return { ...request, type: rng.pick(ILLEGAL_TYPES) };
    case 1:
      return { ...request, flags: flags | (1 << rng.int(16)) };
    case 2:
      return { ...request, offset: rng.pick([end, end - 1n, end + 512n, end - BigInt(Math.floor(length / 2))]) };
    case 3:
      // Near 2^63 and 2^64, and where the sum of offset and length wraps around.
      return {
        ...request,
        offset: rng.pick([2n ** 63n, 2n ** 63n - 512n, 2n ** 64n - BigInt(Math.max(1, length)), 2n ** 53n, 2n ** 32n]),
      };
    case 4:
      return { ...request, length: 0 };
    case 5:
      return least > 1 ? { ...request, offset: offset + 1n } : { ...request, offset: end - 1n, length: 2 };
    case 6: {
      const long = rng.pick([size + least, most + least, 33 << 20, 2 ** 31, 2 ** 32 - 1]);
      return { ...request, offset: 0n, length: type === WRITE ? rng.between(size, LONGEST_PAYLOAD + size) : long };
    }
    default:
      return { ...request, offset: BigInt(rng.int(2 ** 32)) << 32n, length: rng.int(type === WRITE ? 9000 : 2 ** 32) };
  }
}
