/** What really happened, from what the client did and was told, and the order in which the primary put it. */

import type { OpRecord } from '../../src/routes/protect/engine/record.ts';
import type { Point } from '../../src/routes/protect/engine/ring.ts';
import { SECTOR } from './disk.ts';

export interface ClientOp {
  readonly id: number;
  readonly kind: 'write' | 'zeroes' | 'trim' | 'flush';
  readonly offset: number;
  readonly length: number;
  readonly fua: boolean;
  acknowledged: boolean;
  /** The policy promised that it survives. */
  durable: boolean;
}

interface Node {
  readonly record: OpRecord;
  readonly op: ClientOp | undefined;
}

interface Path {
  readonly nodes: readonly Node[];
  /** What was there before the first of them; nothing but zeroes where it is not said. */
  readonly before: Buffer | undefined;
}

/** Every sector says who wrote it: so much of {operation, sector, check} as fits. */
export function stamped(id: number, sector: number): Buffer {
  const stamp = Buffer.alloc(16);
  stamp.writeUInt32LE(id, 0);
  stamp.writeUInt32LE(sector, 4);
  stamp.writeUInt32LE((Math.imul(id, 0x9e3779b1) ^ Math.imul(sector, 0x85ebca6b)) >>> 0, 8);
  stamp.writeUInt32LE(0xfeedf00d, 12);
  return Buffer.alloc(SECTOR, stamp);
}

export function payloadOfOp(op: ClientOp): Buffer {
  const first = op.offset / SECTOR;
  return Buffer.concat(Array.from({ length: op.length / SECTOR }, (_, i) => stamped(op.id, first + i)));
}

export class Truth {
  readonly ops: ClientOp[] = [];
  /** Everything that ever got a place, by place and name. */
  readonly #nodes = new Map<string, Node>();

  readonly #byEpoch = new Map<string, Node>();
  /** Where a volume that was given back goes on, and what it was then. */
  readonly #origins = new Map<string, Buffer>();

  sequenced(record: OpRecord, op: ClientOp | undefined): void {
    this.#nodes.set(`${record.sequence}:${record.crc}`, { record, op });
    this.#byEpoch.set(`${record.sequence}:${record.epoch}`, { record, op });
  }

  /** A history begins there that is none of the ones before. False when it began with something else already. */
  begins({ sequence, crc }: Pick<Point, 'sequence' | 'crc'>, image: Buffer): boolean {
    const name = `${sequence}:${crc}`;
    const known = this.#origins.get(name);
    if (known === undefined) this.#origins.set(name, Buffer.from(image));
    return known === undefined || known.equals(image);
  }

  /** The history that ends there; nothing when it is none that ever was. */
  path(end: Pick<Point, 'sequence' | 'crc'>): Path | undefined {
    const nodes: Node[] = [];
    let { sequence, crc } = end;
    while (sequence > 0) {
      const name = `${sequence}:${crc}`;
      const before = this.#origins.get(name);
      if (before !== undefined) return { nodes: nodes.reverse(), before };
      const node = this.#nodes.get(name);
      if (node === undefined) return undefined;
      nodes.push(node);
      sequence -= 1;
      crc = node.record.before;
    }
    return { nodes: nodes.reverse(), before: undefined };
  }

  /** No two operations have one place in one epoch. */
  find(sequence: number, epoch: number): Node | undefined {
    return this.#byEpoch.get(`${sequence}:${epoch}`);
  }

  /** The volume after a history. */
  image({ nodes, before }: Path, bytes: number): Buffer {
    const image = before === undefined ? Buffer.alloc(bytes) : Buffer.from(before);
    const writers = new Int32Array(bytes / SECTOR).fill(-1);
    for (const { op } of nodes) {
      if (op === undefined || op.kind === 'flush') continue;
      const first = op.offset / SECTOR;
      writers.fill(op.kind === 'write' ? op.id : 0, first, first + op.length / SECTOR);
    }
    writers.forEach((id, sector) => {
      if (id === 0) image.fill(0, sector * SECTOR, (sector + 1) * SECTOR);
      else if (id > 0) stamped(id, sector).copy(image, sector * SECTOR);
    });
    return image;
  }
}

/** Which operation wrote a sector; 0 for nobody, -1 for nobody that can be. */
export function writerOf(sector: Buffer, number: number): number {
  const id = sector.readUInt32LE(0);
  if (id === 0) return sector.every((byte) => byte === 0) ? 0 : -1;
  return sector.equals(stamped(id, number)) ? id : -1;
}
