/** The DR's image as of an earlier moment. */
import { expect, test } from 'vitest';
import type { Done } from '../../../src/kernel/protect/ports.ts';
import { type Rewound, rewind, type Wanted } from '../../../src/routes/protect/engine/rewind.ts';
import { Bench, SECTOR } from './bench.ts';

interface Had extends Rewound {
  readonly volume: Buffer;
}

async function rewound(bench: Bench, wanted: Wanted): Promise<Had | Error> {
  const { engine } = bench.dr;
  if (engine === undefined) throw new Error('It does not run');
  const volume = Buffer.alloc(bench.sectors * SECTOR);
  const into = {
    write: (position: number, data: Buffer, done: Done) => {
      data.copy(volume, position);
      done();
    },
    sync: (done: Done) => done(),
  };
  let had: Had | Error | undefined;
  bench.world.awaiting += 1;
  rewind(engine, wanted, into, () => {}).then(
    (result) => {
      had = { ...result, volume };
    },
    (error: unknown) => {
      had = error as Error;
    },
  );
  await bench.until(() => had !== undefined);
  bench.world.awaiting -= 1;
  return had as Had | Error;
}

function isAll(bench: Bench): boolean {
  return bench.dr.engine?.applied === bench.primary.engine?.history.last.sequence;
}

function writersOf(volume: Buffer): number[] {
  return Array.from({ length: volume.length / SECTOR }, (_, i) => volume.readUInt32LE(i * SECTOR));
}

test('every moment that the log reaches gives the volume as it was then, by sequence and by time, and the image stays as it is', async () => {
  const bench = await Bench.started({ undoBytes: 1 << 20 });
  for (let i = 0; i < 60; i += 1) await bench.written((i * 7) % 60, 3);
  await bench.until(() => isAll(bench));
  const image = Buffer.from(bench.dr.area('image').content);
  for (const { sequence, time } of bench.records) {
    const had = await rewound(bench, { sequence });
    if (had instanceof Error) throw had;
    expect(writersOf(had.volume), `sequence ${sequence}`).toEqual(bench.expected(sequence));
    // Times of different operations may be the same.
    const last = bench.records.filter((each) => each.time <= time).at(-1)?.sequence;
    expect((await rewound(bench, { time })) as Had).toMatchObject({ moment: { sequence: last } });
  }
  const none = await rewound(bench, { sequence: 0 });
  expect((none as Had).volume.every((byte) => byte === 0)).toBe(true);
  expect((none as Had).undone).toEqual({ operations: 60, bytes: 60 * 3 * SECTOR });
  expect(bench.dr.area('image').content.equals(image)).toBe(true);
}, 60_000);

test('what is older than the log, not executed yet, or before it began, is refused and not guessed', async () => {
  const bench = await Bench.started({ undoBytes: 16 * 1024 });
  for (let i = 0; i < 80; i += 1) await bench.written((i * 7) % 60, 3);
  await bench.until(() => isAll(bench));
  const reach = bench.dr.engine?.undo?.reach;
  expect(reach?.from.sequence).toBeGreaterThan(20);
  const unreachable = { code: 'GW7020' };
  expect(await rewound(bench, { sequence: (reach?.from.sequence ?? 0) - 1 })).toMatchObject(unreachable);
  expect(await rewound(bench, { time: (reach?.from.time ?? 0) - 1 })).toMatchObject(unreachable);
  expect(await rewound(bench, { sequence: (reach?.to.sequence ?? 0) + 1 })).toMatchObject(unreachable);
  for (let sequence = reach?.from.sequence ?? 0; sequence <= (reach?.to.sequence ?? 0); sequence += 1) {
    const had = await rewound(bench, { sequence });
    if (had instanceof Error) throw had;
    expect(writersOf(had.volume), `sequence ${sequence}`).toEqual(bench.expected(sequence));
  }
  // Its data does not come: what was written then is not in the image, and a moment after it is none yet.
  const { engine } = bench.dr;
  const receive = engine?.receive.bind(engine);
  if (engine !== undefined && receive !== undefined)
    engine.receive = (from, message) => message.type !== 'data' && receive(from, message);
  const late = await bench.written(1, 2);
  await bench.pass(100);
  const time = bench.records.find(({ sequence }) => sequence === late.sequence)?.time ?? 0;
  expect(await rewound(bench, { time })).toMatchObject(unreachable);
  expect(await rewound(bench, { time: time - 1 })).toMatchObject({ moment: { sequence: late.sequence - 1 } });
});

test('a DR killed while it executes, 200 times, can still be rewound to every moment', async () => {
  for (let seed = 1; seed <= 4; seed += 1) {
    const bench = await Bench.started({ seed, undoBytes: 256 * 1024, memoryBytes: 1 << 20 });
    const { world, dr } = bench;
    // The log has begun.
    await bench.written(0);
    await bench.until(() => isAll(bench));
    for (let kill = 0; kill < 50; kill += 1) {
      for (let i = 0; i < 3; i += 1) bench.write(world.random.below(60), 3);
      await bench.pass(world.random.between(5, 25));
      dr.crash(world.random.chance(0.5));
      dr.start();
    }
    await bench.until(() => isAll(bench));
    const reach = dr.engine?.undo?.reach;
    expect(reach?.from.sequence).toBe(0);
    for (let sequence = 0; sequence <= (reach?.to.sequence ?? 0); sequence += 3) {
      const had = await rewound(bench, { sequence });
      if (had instanceof Error) throw had;
      expect(writersOf(had.volume), `seed ${seed}, sequence ${sequence}`).toEqual(bench.expected(sequence));
    }
  }
}, 120_000);

/** How many moments are wrong, of how many, where a log begins after a crash in the middle of executing. */
async function beginningAfterCrash(seed: number, guarded: boolean) {
  const bench = await Bench.started({ seed, undoBytes: 256 * 1024, memoryBytes: 1 << 20 });
  const { world, dr } = bench;
  for (let round = 0; round < 4; round += 1) {
    for (let i = 0; i < 12; i += 1) bench.write(world.random.below(60), 3);
    await bench.pass(world.random.between(5, 25));
  }
  dr.crash(false);
  // As where the DR had run without a log, or with another one.
  for (const name of ['undo', 'undoState']) dr.area(name).content.fill(0);
  dr.start();
  await bench.until(() => dr.engine !== undefined);
  if (!guarded && dr.engine?.undo !== undefined) dr.engine.undo.horizon = 0;
  for (let i = 0; i < 12; i += 1) await bench.written(world.random.below(60), 3);
  await bench.until(() => isAll(bench));
  const reach = dr.engine?.undo?.reach;
  let [wrong, looked] = [0, 0];
  for (let sequence = reach?.from.sequence ?? 0; sequence <= (reach?.to.sequence ?? -1); sequence += 1) {
    const had = await rewound(bench, { sequence });
    if (had instanceof Error) throw had;
    looked += 1;
    const expected = bench.expected(sequence);
    if (writersOf(had.volume).some((id, i) => id !== expected[i])) wrong += 1;
  }
  return { wrong, looked };
}

test('a log that begins after a crash does not reach back to operations that may be in the image in part', async () => {
  let looked = 0;
  for (let seed = 1; seed <= 30; seed += 1) {
    const had = await beginningAfterCrash(seed, true);
    expect(had.wrong, `seed ${seed}`).toBe(0);
    looked += had.looked;
  }
  expect(looked).toBeGreaterThan(100);
}, 60_000);

test('a control: where it does, the volume of some moments is another', async () => {
  let wrong = 0;
  for (let seed = 1; seed <= 30 && wrong === 0; seed += 1) wrong += (await beginningAfterCrash(seed, false)).wrong;
  expect(wrong).toBeGreaterThan(0);
}, 60_000);

test('one operation of many megabytes is undone whole, through crashes; in a log without room for it, it is where the past begins', async () => {
  const sectors = (12 << 20) / SECTOR;
  for (const [undoBytes, isKept] of [
    [32 << 20, true],
    [4 << 20, false],
  ] as const) {
    const bench = await Bench.started({ sectors, undoBytes, ringBytes: 8 << 20 });
    const { primary, dr } = bench;
    const noise = Buffer.alloc(1 << 20, 'not zeroes at all ');
    const submit = (kind: 'write' | 'zeroes', offset: number, length: number) => {
      const payload = kind === 'write' ? noise : undefined;
      let isDone = false;
      primary.engine?.submit({ kind, offset, length, ...(payload ? { payload } : {}), flags: 0 }, () => {
        isDone = true;
      });
      return bench.until(() => isDone);
    };
    for (let at = 0; at < sectors * SECTOR; at += noise.length) await submit('write', at, noise.length);
    await bench.until(() => isAll(bench));
    const before = primary.engine?.history.last.sequence ?? 0;
    await submit('zeroes', 0, 11 << 20);
    await bench.pass(6);
    dr.crash(true);
    dr.start();
    await bench.until(() => isAll(bench));
    const had = await rewound(bench, { sequence: before });
    if (isKept) {
      expect((had as Had).volume.equals(Buffer.concat(Array.from({ length: 12 }, () => noise)))).toBe(true);
      expect((had as Had).undone).toEqual({ operations: 1, bytes: 11 << 20 });
    } else expect(had).toMatchObject({ code: 'GW7020' });
    const after = await rewound(bench, { sequence: before + 1 });
    expect((after as Had).volume.subarray(0, 11 << 20).every((byte) => byte === 0)).toBe(true);
  }
}, 60_000);

test('an undo log that rotted, or was written over while it was read, gives an error and never another volume', async () => {
  const bench = await Bench.started({ undoBytes: 256 * 1024 });
  for (let i = 0; i < 40; i += 1) await bench.written((i * 7) % 60, 3);
  await bench.until(() => isAll(bench));
  const { content } = bench.dr.area('undo');
  const half = Math.floor(((bench.dr.engine?.undo?.fill ?? 0) * content.length) / 2);
  content[half] = (content[half] as number) ^ 0xff;
  expect(await rewound(bench, { sequence: 3 })).toMatchObject({ code: 'GW7020' });
});
