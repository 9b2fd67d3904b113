import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, onTestFinished, test } from 'vitest';
import { Random } from '../../../test/storms/random.ts';
import { GodwitError } from '../../kernel/errors.ts';
import type { Extent, Volume } from '../../kernel/protect/volume.ts';
import { LastingVolume } from './lasting-volume.ts';
import { type NbdServer, serveNbd } from './server.ts';

const BLOCK = 4096;
const BLOCKS = 32;

/** A disk with a cache: what was not flushed is gone when its server crashes. */
class Disk {
  durable = Buffer.alloc(BLOCKS * BLOCK);
  cached = Buffer.alloc(BLOCKS * BLOCK);
  /** Of which server: what an old one still does is for nobody. */
  generation = 0;

  crash(): void {
    this.generation += 1;
    this.cached = Buffer.from(this.durable);
  }

  volume(random: Random): Volume {
    const mine = this.generation;
    const later = async (act: () => void) => {
      await sleep(random.below(3));
      if (mine !== this.generation) throw new GodwitError('GW8001', 'Crashed');
      act();
    };
    return {
      size: BLOCKS * BLOCK,
      blockSizes: { least: 512, preferred: 4096, most: 1 << 20 },
      coversAllConnections: true,
      fastZeroes: false,
      read: (offset, into) => later(() => void this.cached.copy(into, 0, offset)),
      write: (offset, data, durable) =>
        later(() => {
          data.copy(this.cached, offset);
          if (durable) data.copy(this.durable, offset);
        }),
      writeZeroes: (offset, length) => later(() => void this.cached.fill(0, offset, offset + length)),
      trim: (offset, length) => later(() => void this.cached.fill(0, offset, offset + length)),
      flush: () => later(() => void this.cached.copy(this.durable)),
      extents: async (_, length): Promise<readonly Extent[]> => [{ length, hole: false, zero: false }],
    };
  }
}

class Host {
  readonly disk = new Disk();
  readonly path: string;
  readonly #random: Random;
  #server: NbdServer | undefined;

  constructor(seed: number) {
    const dir = mkdtempSync(join(tmpdir(), 'godwit-lasting-'));
    this.path = join(dir, 'sock');
    this.#random = new Random(seed);
    onTestFinished(async () => {
      await this.#server?.close(0);
      rmSync(dir, { recursive: true, force: true });
    });
  }

  async start(): Promise<void> {
    const exports = [{ name: 'v', volume: this.disk.volume(this.#random) }];
    this.#server = await serveNbd({ address: { path: this.path }, exports });
  }

  /** As by SIGKILL: nothing under way is answered. */
  async crash(): Promise<void> {
    this.disk.crash();
    await this.#server?.close(0);
    this.#server = undefined;
  }
}

test.each([1, 2, 3, 4, 5, 6])(
  'what was flushed is there, whatever crashes before the flush (seed %i)',
  async (seed) => {
    const random = new Random(seed);
    const host = new Host(seed);
    await host.start();
    let repeated = 0;
    await using volume = await LastingVolume.open({
      ...{ addresses: [{ path: host.path }], exportName: 'v', graceMs: 20_000, mostUnflushed: 8 * BLOCK },
      onBack: (_, count) => {
        repeated += count;
      },
    });
    /** Of each block, what was written since what is known to be durable, which comes first. */
    const may = Array.from({ length: BLOCKS }, () => [0]);
    let isOver = false;
    const crashes = (async () => {
      for (let i = 0; i < 12; i += 1) {
        await sleep(random.between(5, 60));
        await host.crash();
        await sleep(random.between(0, 30));
        await host.start();
      }
      isOver = true;
    })();
    /** Each has blocks of its own, so that what they must hold is known. */
    const work = async (first: number, count: number) => {
      const own = new Random(seed * 100 + first);
      for (let version = 1; !isOver; version += 1) {
        const block = first + own.below(count);
        const versions = may[block] as number[];
        const luck = own.next();
        const value = luck < 0.1 ? 0 : version & 0xff;
        versions.push(value);
        const at = block * BLOCK;
        if (luck < 0.1) await volume.writeZeroes(at, BLOCK, { durable: false, mayTrim: false });
        else await volume.write(at, Buffer.alloc(BLOCK, value), luck < 0.2);
        if (luck >= 0.1 && luck < 0.2) versions.splice(0, versions.length - 1);
        if (luck > 0.9) {
          await volume.flush();
          for (const each of may.slice(first, first + count)) each.splice(0, each.length - 1);
        }
        const found = Buffer.alloc(512);
        await volume.read(at, found);
        expect(found[0], `block ${block} as it was written`).toBe(value);
        for (let each = first; each < first + count; each += 1) {
          expect(may[each], `block ${each} on the disk`).toContain(host.disk.durable[each * BLOCK]);
        }
      }
    };
    await Promise.all([crashes, work(0, 8), work(8, 8), work(16, 16)]);
    await volume.flush();
    for (const [block, versions] of may.entries()) {
      const wanted = Buffer.alloc(BLOCK, versions.at(-1));
      expect(host.disk.durable.subarray(block * BLOCK, (block + 1) * BLOCK).equals(wanted), `block ${block}`).toBe(
        true,
      );
    }
    expect(repeated).toBeGreaterThan(0);
  },
);

test('one that is gone for longer than the grace is gone for good', async () => {
  const host = new Host(1);
  await host.start();
  await using volume = await LastingVolume.open({
    ...{ addresses: [{ path: host.path }], exportName: 'v', graceMs: 300 },
  });
  await volume.write(0, Buffer.alloc(BLOCK, 1), false);
  await host.crash();
  const began = performance.now();
  await expect(volume.write(0, Buffer.alloc(BLOCK, 2), false)).rejects.toMatchObject({ code: 'GW7031' });
  expect(performance.now() - began).toBeGreaterThan(250);
  expect(await volume.ended).toMatchObject({ code: 'GW7031' });
  await host.start();
  // Somebody else may use it by now.
  await expect(volume.flush()).rejects.toMatchObject({ code: 'GW7031' });
  expect(host.disk.cached.equals(Buffer.alloc(BLOCKS * BLOCK))).toBe(true);
});

test('where one address serves it no more, the other does', async () => {
  const [home, away] = [new Host(1), new Host(2)];
  await home.start();
  await using volume = await LastingVolume.open({
    ...{ addresses: [{ path: home.path }, { path: away.path }], exportName: 'v', graceMs: 20_000 },
  });
  await volume.write(0, Buffer.alloc(BLOCK, 7), false);
  await home.crash();
  const writing = volume.write(BLOCK, Buffer.alloc(BLOCK, 8), true);
  await away.start();
  await writing;
  expect([away.disk.durable[0], away.disk.durable[BLOCK]]).toEqual([7, 8]);
});

test('a server that comes later is waited for', async () => {
  const host = new Host(1);
  const opening = LastingVolume.open({ addresses: [{ path: host.path }], exportName: 'v', graceMs: 20_000 });
  await sleep(150);
  await host.start();
  await using volume = await opening;
  expect(volume.size).toBe(BLOCKS * BLOCK);
  const none = LastingVolume.open({ addresses: [{ path: host.path }], exportName: 'none', graceMs: 20_000 });
  await expect(none).rejects.toMatchObject({ code: expect.not.stringMatching('GW3001') });
});
