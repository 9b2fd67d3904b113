/** How fast a DR executes what it holds, with and without a log to rewind by. */
import { randomFillSync } from 'node:crypto';
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { FileArea } from '../../src/adapters/block-files/index.ts';
import type { Area } from '../../src/kernel/protect/ports.ts';
import { Dirty } from '../../src/routes/protect/engine/dirty.ts';
import { Dr } from '../../src/routes/protect/engine/dr.ts';
import { OrderLog } from '../../src/routes/protect/engine/order-log.ts';
import { encodeRecord, hashOf, type OpRecord, RECORD_BYTES } from '../../src/routes/protect/engine/record.ts';
import { BEGINNING, type Point, pointAfter, Ring } from '../../src/routes/protect/engine/ring.ts';
import { SUPERBLOCK_BYTES } from '../../src/routes/protect/engine/superblock.ts';
import { systemTicker } from '../../src/routes/protect/roles/ticker.ts';

const VOLUME = 1;
const CHUNK = 256 * 1024;
const IMAGE = 256 << 20;

export interface ExecutionResult {
  readonly operationsPerSecond: number;
  readonly mibPerSecond: number;
}

/** Writes all over an image that is full, from the order and the data that lie on the DR's disk. */
export async function measureExecution(options: {
  readonly dir: string;
  readonly operations: number;
  readonly blockKiB: number;
  readonly rewindMiB: number | undefined;
}): Promise<ExecutionResult> {
  const { operations, blockKiB, rewindMiB } = options;
  const dir = join(options.dir, `execution-${rewindMiB ?? 0}`);
  mkdirSync(dir);
  const block = blockKiB * 1024;
  const opened: FileArea[] = [];
  const open = (name: string, bytes: number, allocate = true) => {
    const area = FileArea.open(join(dir, name), bytes, { allocate });
    opened.push(area);
    return area;
  };
  try {
    const image = open('image', IMAGE);
    const orders = open('orders', (operations + 8) * RECORD_BYTES);
    const suspended = open('suspended', (operations + 8) * (block + 2 * RECORD_BYTES));
    for (let at = 0; at < IMAGE; at += 1 << 20) await written(image, at, randomFillSync(Buffer.alloc(1 << 20)));
    const last = await fill(orders, suspended, operations, block);
    const dr = await Dr.open({
      areas: {
        ...{ image, orders, suspended, state: open('state', SUPERBLOCK_BYTES) },
        dirty: open('dirty', Dirty.bytesFor(IMAGE, CHUNK)),
        ...(rewindMiB === undefined
          ? {}
          : { undo: { log: open('undo', rewindMiB << 20), state: open('undo-state', SUPERBLOCK_BYTES) } }),
      },
      ...{ link: { send: () => undefined }, ticker: systemTicker, volume: VOLUME, leaseMs: 5000, retryMs: 100 },
      chunkBytes: CHUNK,
      failed: (error) => {
        throw error;
      },
    });
    const began = performance.now();
    dr.settle({ sequence: last.sequence, crc: last.crc });
    while (dr.history.base.sequence < operations) await sleep(2);
    const seconds = (performance.now() - began) / 1000;
    return { operationsPerSecond: operations / seconds, mibPerSecond: (operations * block) / 2 ** 20 / seconds };
  } finally {
    for (const area of opened) area.close();
    rmSync(dir, { recursive: true, force: true });
  }
}

async function fill(orders: Area, suspended: Area, operations: number, block: number): Promise<Point> {
  const ring = new Ring(suspended);
  const log = new OrderLog(orders);
  const payload = randomFillSync(Buffer.alloc(block));
  const hash = hashOf(payload);
  const records: OpRecord[] = [];
  let point: Point = BEGINNING;
  let seed = 1;
  for (let sequence = 1; sequence <= operations; sequence += 1) {
    seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0;
    const fields = {
      ...({
        kind: 'write',
        flags: 0,
        epoch: 2,
        length: block,
        sequence,
        hash,
        time: sequence,
        volume: VOLUME,
      } as const),
      ...{ offset: (seed % (IMAGE / block)) * block, place: point.place, before: point.crc },
    };
    const record = encodeRecord(fields, Buffer.alloc(RECORD_BYTES));
    records.push(record);
    const place = record.place + RECORD_BYTES;
    await new Promise<void>((resolve, reject) =>
      ring.write(place, payload, (error) => (error ? reject(error) : resolve())),
    );
    point = pointAfter(record);
  }
  await new Promise<void>((resolve, reject) => log.write(records, (error) => (error ? reject(error) : resolve())));
  return point;
}

function written(area: Area, at: number, data: Buffer): Promise<void> {
  return new Promise((resolve, reject) => area.write(at, data, (error) => (error ? reject(error) : resolve())));
}
