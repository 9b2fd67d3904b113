import { randomBytes } from 'node:crypto';

/**
 * A fresh id: a UUID of version 7 (RFC 9562 §5.7), whose first 48 bits are the
 * time in milliseconds, so that new rows lie side by side in the index.
 */
export function freshId(nowMs: number = Date.now()): string {
  const bytes = randomBytes(16);
  bytes.writeUIntBE(nowMs, 0, 6);
  bytes[6] = ((bytes[6] as number) & 0x0f) | 0x70;
  bytes[8] = ((bytes[8] as number) & 0x3f) | 0x80;
  const hex = bytes.toString('hex');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}
