/** What a client was told is durable, in the policy that answers plain writes at once. */
import { expect, test } from 'vitest';
import { FLAG } from '../../../src/routes/protect/engine/record.ts';
import { ProtectedVolume } from '../../../src/routes/protect/protected-volume.ts';
import { Bench, SECTOR } from './bench.ts';

/** Runs until the call is answered; says whether it was by an error. */
async function answered(bench: Bench, call: Promise<unknown>): Promise<'done' | 'failed'> {
  let end: 'done' | 'failed' | undefined;
  call.then(
    () => {
      end = 'done';
    },
    () => {
      end = 'failed';
    },
  );
  bench.world.awaiting += 1;
  await bench.until(() => end !== undefined);
  bench.world.awaiting -= 1;
  return end as 'done' | 'failed';
}

test('FUA on zeroes and trims, at odd offsets and lengths, holds as it does on writes', async () => {
  for (const kind of ['zeroes', 'trim'] as const) {
    for (let seed = 1; seed <= 10; seed += 1) {
      const bench = await Bench.started({ policy: 'barrier', seed });
      const { engine } = bench.primary;
      const volume = new ProtectedVolume(engine as NonNullable<typeof engine>, () => bench.sectors * SECTOR);
      for (let first = 0; first < 60; first += 5) bench.write(first, 5);
      await bench.until(() => bench.writes.every(({ acknowledged }) => acknowledged));
      // Neither begins nor ends where a block or a write does.
      const [first, count] = [7 + seed, 1 + 2 * seed];
      const options = { durable: true, mayTrim: kind === 'trim' };
      const call =
        kind === 'trim'
          ? volume.trim(first * SECTOR, count * SECTOR, true)
          : volume.writeZeroes(first * SECTOR, count * SECTOR, options);
      expect(await answered(bench, call)).toBe('done');
      expect(bench.records.at(-1)).toMatchObject({ kind, offset: first * SECTOR, length: count * SECTOR });
      expect((bench.records.at(-1)?.flags ?? 0) & FLAG.fua).toBe(FLAG.fua);
      bench.lose('primary');
      await bench.promoted();
      const expected = bench.expected().fill(0, first, first + count);
      expect(bench.writers('dr'), `${kind} of ${count} at ${first}`).toEqual(expected);
    }
  }
});

test('a flush on one connection covers what was answered on another', async () => {
  for (let seed = 1; seed <= 10; seed += 1) {
    const bench = await Bench.started({ policy: 'barrier', seed });
    const { engine } = bench.primary;
    // The server gives every connection the same volume, and asks for no order between them.
    const volume = new ProtectedVolume(engine as NonNullable<typeof engine>, () => bench.sectors * SECTOR);
    expect(volume.coversAllConnections).toBe(true);
    for (let first = 0; first < 60; first += 4) bench.write(first, 4);
    await bench.until(() => bench.writes.every(({ acknowledged }) => acknowledged));
    // Answered at once: nothing of it needs to be anywhere else yet.
    expect(engine?.settled).toBeLessThan(bench.writes.at(-1)?.sequence ?? 0);
    expect(await answered(bench, volume.flush())).toBe('done');
    bench.lose('primary');
    await bench.promoted();
    expect(bench.writers('dr')).toEqual(bench.expected());
  }
});
