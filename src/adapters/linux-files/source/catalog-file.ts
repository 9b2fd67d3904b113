import { closeSync, existsSync, openSync, readSync, writeSync } from 'node:fs';
import { crc32 } from 'node:zlib';
import { Packer, Unpacker } from '../wire/packer.ts';
import type { CatalogRecord } from './catalog-record.ts';

/**
 * A file of records in the order of the walk, in blocks: length, checksum, the
 * bundle that carried them, records. It only grows; a torn last block is as if it
 * had not been written.
 */
const HEADER = 16;
const KINDS = ['entry', 'leave', 'partial'] as const;

export function packRecord(to: Packer, record: CatalogRecord): void {
  to.u8(KINDS.indexOf(record.kind) | (record.settled ? 0x10 : 0));
  to.u16(record.mapping);
  to.text(record.path);
  to.text(record.signature);
  to.long(record.reached);
}

export function writeBlock(fd: number, sequence: number, records: Buffer): void {
  const block = Buffer.allocUnsafe(HEADER + records.length);
  block.writeUInt32LE(records.length, 0);
  block.writeUInt32LE(sequence >>> 0, 8);
  block.writeUInt32LE(Math.floor(sequence / 0x1_0000_0000), 12);
  records.copy(block, HEADER);
  block.writeUInt32LE(crc32(block.subarray(8)), 4);
  // One write: a process that is killed leaves all of it or, rarely, a torn end.
  writeSync(fd, block);
}

/** All records up to the first block that is torn or was carried by a bundle after `upTo`; a file that is not there has none. */
export function* readCatalog(path: string, upTo: number): Generator<CatalogRecord, void, void> {
  for (const block of readBlocks(path, upTo)) while (!block.done) yield unpackRecord(block);
}

/** The records of one block after another, under the same conditions. */
export function* readBlocks(path: string, upTo: number): Generator<Unpacker, void, void> {
  if (!existsSync(path)) return;
  const fd = openSync(path, 'r');
  try {
    const header = Buffer.alloc(HEADER);
    // Used again and again: records hold nothing of it.
    let memory = Buffer.alloc(0);
    for (let at = 0; ; ) {
      if (readSync(fd, header, 0, HEADER, at) < HEADER) return;
      const length = header.readUInt32LE(0);
      if (length > 0x1000_0000) return;
      if (8 + length > memory.length) memory = Buffer.allocUnsafeSlow((8 + length) * 2);
      const block = memory.subarray(0, 8 + length);
      header.copy(block, 0, 8);
      if (readSync(fd, block, 8, length, at + HEADER) < length) return;
      if (crc32(block) !== header.readUInt32LE(4)) return;
      const sequence = header.readUInt32LE(8) + header.readUInt32LE(12) * 0x1_0000_0000;
      if (sequence > upTo) return;
      at += HEADER + length;
      yield new Unpacker(block.subarray(8));
    }
  } finally {
    closeSync(fd);
  }
}

function unpackRecord(from: Unpacker): CatalogRecord {
  const head = from.u8();
  const kind = KINDS[head & 0x0f] ?? 'partial';
  return {
    kind,
    settled: (head & 0x10) !== 0,
    mapping: from.u16(),
    path: from.text(),
    signature: from.text(),
    reached: from.long(),
  };
}

/**
 * Writes blocks of records, each with the bundle that carries it, when it is sent
 * and not when it is carried out: which of them are true, the target says when it
 * is asked the next time.
 */
export class CatalogWriter {
  readonly #fd: number;
  readonly #packer = new Packer(64 * 1024);

  constructor(path: string) {
    this.#fd = openSync(path, 'w', 0o600);
  }

  add(record: CatalogRecord): void {
    packRecord(this.#packer, record);
  }

  /** Bytes of records that belong to no block yet. */
  get pending(): number {
    return this.#packer.length;
  }

  /** Ends a block: what was added since the last one is true once `sequence` is carried out. */
  endBlock(sequence: number): void {
    if (this.#packer.length === 0) return;
    writeBlock(this.#fd, sequence, this.#packer.bytes);
    this.#packer.clear();
  }

  close(): void {
    closeSync(this.#fd);
  }
}
