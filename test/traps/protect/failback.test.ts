/** The way home. */
import { expect, test } from 'vitest';
import { GodwitError } from '../../../src/kernel/errors.ts';
import { Failback, type GivenBack } from '../../../src/routes/protect/engine/failback.ts';
import type { Message, MessageOf } from '../../../src/routes/protect/engine/messages.ts';
import { Served } from '../../protect-sim/served.ts';
import { stamped } from '../../protect-sim/truth.ts';
import { Bench, SECTOR } from './bench.ts';

const SECTORS = 4096;
const CHUNK_SECTORS = 16;
/** Written all the time, each in a chunk of its own. */
const HOT = [5, 500, 1100, 2000, 3100, 4000];

/** A DR that leads has written here and there; the old primary is back. */
async function away(options: { readonly loss: number }) {
  const bench = await Bench.started({
    ...{ sectors: SECTORS, chunkBytes: CHUNK_SECTORS * SECTOR, seed: 3 },
    network: { loss: options.loss },
  });
  for (let i = 0; i < 40; i += 1) await bench.written((i * 97) % SECTORS);
  bench.primary.crash(true);
  const promoted = await bench.promote();
  if (promoted instanceof GodwitError) throw promoted;
  const { engine } = bench.dr;
  if (engine === undefined) throw new Error('The DR has died');
  const served = new Served(engine, false);
  // What waits for a promise runs before the next event.
  bench.world.awaiting += 1;
  await bench.until(() => served.bringUp.isDone);
  let id = 1_000_000;
  const write = async (sector: number): Promise<void> => {
    id += 1;
    await served.volume.write(sector * SECTOR, stamped(id, sector), true);
  };
  for (let i = 0; i < 50; i += 1) {
    let isDone = false;
    void write((i * 79) % SECTORS).then(() => {
      isDone = true;
    });
    await bench.until(() => isDone);
  }
  bench.primary.start();
  await bench.until(() => bench.primary.engine?.leadership.isDeposed === true);
  return { bench, engine, served, write };
}

/** Sectors that are not the same on both sides. */
function differing(bench: Bench): number {
  const [here, there] = [bench.primary.area('image').content, bench.dr.area('image').content];
  let count = 0;
  for (let at = 0; at < here.length; at += SECTOR)
    if (!here.subarray(at, at + SECTOR).equals(there.subarray(at, at + SECTOR))) count += 1;
  return count;
}

async function givenBack({ bench, engine, served, write }: Awaited<ReturnType<typeof away>>) {
  const before = differing(bench);
  let written = 0;
  let outcome: GivenBack | GodwitError | undefined;
  const options = { retryMs: 15, silentMs: 70, stallMs: 150, patienceMs: 600, isReady: () => true };
  new Failback(engine, served.gate, options, (result) => {
    outcome = result;
  }).start();
  let turn = 0;
  const underWay = new Set<number>();
  const busy = () => {
    if (outcome !== undefined) return;
    const sector = (HOT[turn % HOT.length] as number) + (turn % 2);
    turn += 1;
    // Of two at once in one place either may win: none such are made.
    if (!underWay.has(sector)) {
      underWay.add(sector);
      written += 1;
      // Those that waited for the switch are refused by it: they were never done.
      write(sector).then(
        () => underWay.delete(sector),
        () => undefined,
      );
    }
    bench.world.after(1.5, busy);
  };
  busy();
  await bench.until(() => outcome !== undefined);
  if (outcome === undefined || outcome instanceof GodwitError) throw new Error(outcome?.message);
  await bench.until(() => bench.primary.engine?.leadership.leads === true);
  expect(differing(bench)).toBe(0);
  expect(outcome.unexpected).toBe(0);
  return { before, written, bytes: outcome.bytes };
}

test('a failback sends what differs and what is written meanwhile, and hardly more', async () => {
  const { before, written, bytes } = await givenBack(await away({ loss: 0 }));
  expect(before).toBeGreaterThan(40);
  expect(written).toBeGreaterThan(50);
  expect(bytes).toBeGreaterThanOrEqual(before * SECTOR);
  expect(bytes).toBeLessThanOrEqual(1.1 * (before + written) * SECTOR);
});

test('of what is written all the time, a failback sends the last state, not each', async () => {
  const { before, written, bytes } = await givenBack(await away({ loss: 0 }));
  expect(bytes).toBeLessThanOrEqual((before + written / 2) * SECTOR);
});

test('what does not arrive is asked about, and sent where it lacks', async () => {
  const { before, written, bytes } = await givenBack(await away({ loss: 0.05 }));
  expect(bytes).toBeLessThanOrEqual(2 * (before + written) * SECTOR);
});

test('what an earlier start of the primary had said and comes late does not keep the DR from the one that follows it', async () => {
  const home = await away({ loss: 0 });
  const { bench, engine } = home;
  const { world, primary } = bench;
  let early: MessageOf<'parted'> | undefined;
  let isRepeated = false;
  world.isLost = (message) => {
    if (message.type !== 'parted') return false;
    if (early === undefined) {
      early = message;
      world.after(0, () => {
        primary.crash(false);
        primary.start();
      });
    }
    if (message.follows !== undefined && !isRepeated) {
      isRepeated = true;
      expect(early?.session).toBeLessThan(message.session);
      world.after(0, () => engine.receive('primary', early as Message));
    }
    return false;
  };
  await givenBack(home);
  expect(isRepeated).toBe(true);
});

test('where what is known of a chunk is wrong, its hash says so, and all of it goes', async () => {
  const home = await away({ loss: 0 });
  // Nothing that is changed is noticed.
  Object.defineProperty(home.served.gate, 'units', { get: () => undefined, set: () => undefined });
  const { written, bytes } = await givenBack(home);
  expect(written).toBeGreaterThan(50);
  expect(bytes).toBeGreaterThanOrEqual(HOT.length * CHUNK_SECTORS * SECTOR);
});
