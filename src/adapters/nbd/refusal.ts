import type { Agreement } from './handshake.ts';
import { COMMAND, COMMAND_FLAG, ERRNO } from './protocol.ts';
import type { NbdRequest } from './requests.ts';

/** Flags that a command may carry besides FUA, which every one may ("Command flags"). */
const ALLOWED: Readonly<Record<number, number>> = {
  [COMMAND.read]: COMMAND_FLAG.dontFragment,
  [COMMAND.write]: 0,
  [COMMAND.disconnect]: 0,
  [COMMAND.flush]: 0,
  [COMMAND.trim]: 0,
  [COMMAND.writeZeroes]: COMMAND_FLAG.noHole | COMMAND_FLAG.fastZero,
  [COMMAND.blockStatus]: COMMAND_FLAG.reqOne,
};

/** Why a request is not carried out, as an error of the protocol ("Error values"); 0 when it is. */
export function refusalOf(request: NbdRequest, { export: served, structured, allocation }: Agreement): number {
  const { type, flags, offset, length } = request;
  const allowed = ALLOWED[type];
  if (allowed === undefined || (flags & ~(allowed | COMMAND_FLAG.fua)) !== 0) return ERRNO.EINVAL;
  if (type === COMMAND.disconnect) return 0;
  if (type === COMMAND.flush) return offset === 0 && length === 0 ? 0 : ERRNO.EINVAL;
  const changes = type === COMMAND.write || type === COMMAND.trim || type === COMMAND.writeZeroes;
  if (changes && served.readOnly === true) return ERRNO.EPERM;
  if (type === COMMAND.blockStatus && !allocation) return ERRNO.EINVAL;
  if ((flags & COMMAND_FLAG.dontFragment) !== 0 && !structured) return ERRNO.EINVAL;
  const { size, blockSizes, fastZeroes } = served.volume;
  const mask = blockSizes.least - 1;
  // The low halves suffice: a least block is at most 64 KiB, and the offset's multiples of 2^32 are multiples of it.
  if (length === 0 || (length & mask) !== 0 || ((offset % 0x1_0000_0000) & mask) !== 0) return ERRNO.EINVAL;
  if (offset + length > size) {
    return type === COMMAND.write || type === COMMAND.writeZeroes ? ERRNO.ENOSPC : ERRNO.EINVAL;
  }
  if (type === COMMAND.read && length > blockSizes.most) return structured ? ERRNO.EOVERFLOW : ERRNO.EINVAL;
  if (type === COMMAND.write && length > blockSizes.most) return ERRNO.EINVAL;
  if ((flags & COMMAND_FLAG.fastZero) !== 0 && type === COMMAND.writeZeroes && !fastZeroes) return ERRNO.ENOTSUP;
  return 0;
}
