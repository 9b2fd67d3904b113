/** What a client was promised, block by block, and whether a volume keeps it. */
import { crc32 } from 'node:zlib';

export const BLOCK = 4096;

/** Fills a block so that it says which it is and which version, and that nothing of it was torn. */
export function stamp(block: number, version: number): Buffer {
  const out = Buffer.alloc(BLOCK, (version * 31 + block) & 0xff);
  out.writeUInt32LE(block, 0);
  out.writeUInt32LE(version, 4);
  out.writeUInt32LE(crc32(out.subarray(0, BLOCK - 4)), BLOCK - 4);
  return out;
}

interface Promised {
  /** The last that was handed over. */
  submitted: number;
  /** The last that was acknowledged. */
  acknowledged: number;
  /** The last that must survive whatever fails alone. */
  durable: number;
}

/** Versions of a block are written one after the other; version 0 is zeroes. */
export class Ledger {
  readonly #blocks: Promised[];
  acknowledged = 0;
  /** Times that differ in what may be acknowledged. */
  era = 0;
  /** What was handed over and acknowledged in this era. */
  inEra = 0;

  constructor(blocks: number) {
    this.#blocks = Array.from({ length: blocks }, () => ({ submitted: 0, acknowledged: 0, durable: 0 }));
  }

  /** The next version of a block, which is about to be written. */
  submit(block: number): number {
    const promised = this.#of(block);
    promised.submitted += 1;
    return promised.submitted;
  }

  nextEra(): void {
    this.era += 1;
    this.inEra = 0;
  }

  /** `era`: in which it was handed over. */
  acknowledge(block: number, version: number, durable: boolean, era = this.era): void {
    if (era === this.era) this.inEra += 1;
    const promised = this.#of(block);
    promised.acknowledged = Math.max(promised.acknowledged, version);
    if (durable) promised.durable = Math.max(promised.durable, version);
    this.acknowledged += 1;
  }

  /** The server was lost and came back: what was acknowledged and never flushed may be gone, and no later flush brings it back. */
  lostServer(): void {
    for (const promised of this.#blocks) promised.acknowledged = promised.durable;
  }

  /** What a flush that begins now will have made durable when it is acknowledged. */
  flushing(): () => void {
    const versions = this.#blocks.map(({ acknowledged }) => acknowledged);
    return () => {
      for (const [block, version] of versions.entries()) {
        const promised = this.#of(block);
        promised.durable = Math.max(promised.durable, version);
      }
    };
  }

  /** Why this content cannot be, or undefined. `live`: read from the volume that acknowledged, so nothing may be missing. */
  contradiction(block: number, content: Buffer, live: boolean): string | undefined {
    const { submitted, acknowledged, durable } = this.#of(block);
    const version = versionOf(block, content);
    if (version === undefined) return `block ${block} holds no version of it`;
    const least = live ? acknowledged : durable;
    if (version < least)
      return `block ${block} is version ${version}, and ${least} was ${live ? 'acknowledged' : 'safe'}`;
    if (version > submitted) return `block ${block} is version ${version}, and ${submitted} was the last`;
    return undefined;
  }

  /** Every block of a volume. */
  contradictions(image: Buffer): string[] {
    return this.#blocks.flatMap((_, block) => {
      const found = this.contradiction(block, image.subarray(block * BLOCK, (block + 1) * BLOCK), false);
      return found === undefined ? [] : [found];
    });
  }

  #of(block: number): Promised {
    return this.#blocks[block] as Promised;
  }
}

function versionOf(block: number, content: Buffer): number | undefined {
  if (content.every((byte) => byte === 0)) return 0;
  if (content.readUInt32LE(0) !== block) return undefined;
  const version = content.readUInt32LE(4);
  return content.equals(stamp(block, version)) ? version : undefined;
}
