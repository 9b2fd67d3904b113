import { expect, test } from 'vitest';
import type { Chunk, ChunkVerifier, Drift } from '../../src/kernel/ports.ts';

export interface ChunkVerifierSubject {
  readonly verifier: ChunkVerifier;
  /** At least two of them, over equal data. */
  readonly chunks: readonly Chunk[];
  readonly docs: number;
  /** Makes the target differ behind everybody's back, and tells what has to be found. */
  damage(): Promise<readonly Pick<Drift, 'kind' | 'key'>[]>;
  /** Writes to the source, and by way of the log to the target, until it is stopped. */
  live(): { stop(): Promise<void> };
  /** A document that differs, and is written on both sides between any two looks at it. */
  hot(): Promise<Pick<Drift, 'kind' | 'key'>>;
}

const never = new AbortController().signal;
const ignore = () => undefined;

async function verifyAll(subject: ChunkVerifierSubject): Promise<{ docs: number; drift: Drift[] }> {
  const verdicts = await Promise.all(subject.chunks.map((chunk) => subject.verifier.verify(chunk, ignore, never)));
  return { docs: verdicts.reduce((sum, one) => sum + one.docs, 0), drift: verdicts.flatMap(({ drift }) => drift) };
}

const rows = (drift: readonly Pick<Drift, 'kind' | 'key'>[]) => drift.map(({ kind, key }) => `${kind} ${key}`).sort();

/** What `ChunkVerifier` promises. */
export function describeChunkVerifierContract(name: string, make: () => Promise<ChunkVerifierSubject>): void {
  test(`${name}: equal data is found equal, and every document was looked at once`, async () => {
    const subject = await make();
    const progress = { docs: 0, bytes: 0 };
    let told = 0;
    for (const chunk of subject.chunks) {
      const verdict = await subject.verifier.verify(
        chunk,
        (docs, bytes) => {
          progress.docs += docs;
          progress.bytes += bytes;
        },
        never,
      );
      told += verdict.docs;
      expect(verdict.drift).toEqual([]);
    }
    expect(told).toBe(subject.docs);
    expect(progress.docs).toBe(subject.docs);
    expect(progress.bytes).toBeGreaterThan(0);
  });

  test(`${name}: finds exactly what differs, however small`, async () => {
    const subject = await make();
    const expected = await subject.damage();
    const { drift } = await verifyAll(subject);
    expect(rows(drift)).toEqual(rows(expected));
    for (const row of drift) {
      expect(row.sourceDigest === undefined).toBe(row.kind === 'extra');
      expect(row.targetDigest === undefined).toBe(row.kind === 'missing');
      if (row.kind === 'different') expect(row.sourceDigest).not.toBe(row.targetDigest);
    }
  });

  test(`${name}: no false alarm while both sides are written`, async () => {
    const subject = await make();
    const life = subject.live();
    try {
      for (let round = 0; round < 5; round += 1) expect((await verifyAll(subject)).drift).toEqual([]);
    } finally {
      await life.stop();
    }
  });

  test(`${name}: what differs is found even if it is written all the time`, async () => {
    const subject = await make();
    const expected = await subject.hot();
    expect(rows((await verifyAll(subject)).drift)).toEqual(rows([expected]));
  });

  test(`${name}: a stop is heeded`, async () => {
    const subject = await make();
    const work = subject.verifier.verify(subject.chunks[0]!, ignore, AbortSignal.abort());
    await expect(work).rejects.toMatchObject({ code: 'GW8001' });
  });
}
