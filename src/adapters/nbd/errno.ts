import { GodwitError } from '../../kernel/errors.ts';
import { ERRNO } from './protocol.ts';

/** What a volume's error is called on the wire ("Error values"): the system's own words where the protocol has them, else EIO. */
export function errnoOf(error: unknown): number {
  for (let each: unknown = error; each instanceof Error; each = each.cause) {
    // Served somewhere else now, or not any more: a client that can has to connect anew.
    if (each instanceof GodwitError && (each.code === 'GW8001' || each.code === 'GW7014')) return ERRNO.ESHUTDOWN;
    switch ((each as NodeJS.ErrnoException).code) {
      case 'ENOSPC':
      case 'EDQUOT':
      case 'EFBIG':
        return ERRNO.ENOSPC;
      case 'EPERM':
      case 'EACCES':
      case 'EROFS':
        return ERRNO.EPERM;
    }
  }
  return ERRNO.EIO;
}

/** The name of a number, for messages. */
export function errnoName(errno: number): string {
  return Object.entries(ERRNO).find(([, value]) => value === errno)?.[0] ?? `error ${errno}`;
}
