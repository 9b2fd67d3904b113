/**
 * The base block: the first 4096 bytes of a hive, of which logs repeat the
 * first sector. Offsets by "Windows registry file format specification"
 * (github.com/msuhanov/regf, section Base block).
 */
import { GodwitError } from '../../kernel/errors.ts';

export const BASE_BLOCK = 4096;
/** As much of the base block as the checksum covers, checksum included. */
const SUMMED = 512;

export const OLDEST_MINOR = 3;
export const NEWEST_MINOR = 6;

/** `fileType` of a primary file and of its logs; 2 is a log of Windows 2000. */
export const FILE_TYPE = { primary: 0, oldLog: 1, log2000: 2, newLog: 6 } as const;

export interface BaseBlock {
  readonly primarySequence: number;
  readonly secondarySequence: number;
  readonly timestamp: bigint;
  readonly minorVersion: number;
  readonly fileType: number;
  readonly rootCell: number;
  /** Bytes of hive bins, which follow the base block. */
  readonly binsSize: number;
  /** Bytes of a sector, for places in logs. */
  readonly sectorSize: number;
  readonly isSumRight: boolean;
}

/** Whether it begins as hives and their logs do. */
export function looksLikeHive(bytes: Uint8Array): boolean {
  return bytes.length >= SUMMED && bytes[0] === 0x72 && bytes[1] === 0x65 && bytes[2] === 0x67 && bytes[3] === 0x66;
}

/** Reads what stands there and judges only whether it is a hive of a known version (GW2301). */
export function readBaseBlock(bytes: Buffer): BaseBlock {
  if (!looksLikeHive(bytes)) throw new GodwitError('GW2301', 'The file does not begin like a registry hive');
  const major = bytes.readUInt32LE(20);
  const minorVersion = bytes.readUInt32LE(24);
  if (major !== 1 || minorVersion < OLDEST_MINOR || minorVersion > NEWEST_MINOR || bytes.readUInt32LE(32) !== 1) {
    throw new GodwitError('GW2301', `The hive has version ${major}.${minorVersion}; 1.3 to 1.6 are known`);
  }
  return {
    primarySequence: bytes.readUInt32LE(4),
    secondarySequence: bytes.readUInt32LE(8),
    timestamp: bytes.readBigUInt64LE(12),
    minorVersion,
    fileType: bytes.readUInt32LE(28),
    rootCell: bytes.readUInt32LE(36),
    binsSize: bytes.readUInt32LE(40),
    sectorSize: bytes.readUInt32LE(44) === 8 ? 4096 : 512,
    isSumRight: bytes.readUInt32LE(508) === baseBlockSum(bytes),
  };
}

/** XOR of the first 127 words; the values 0 and -1 are not used. */
export function baseBlockSum(bytes: Buffer): number {
  let sum = 0;
  for (let at = 0; at < 508; at += 4) sum ^= bytes.readInt32LE(at);
  if (sum === 0) return 1;
  return sum === -1 ? 0xfffffffe : sum >>> 0;
}

/** A hive is dirty when its last write did not come to its end: then its logs hold what is missing. */
export function isDirty(base: BaseBlock): boolean {
  return !base.isSumRight || base.primarySequence !== base.secondarySequence;
}
