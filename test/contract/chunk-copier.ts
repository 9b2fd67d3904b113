import { expect, test } from 'vitest';
import type { Chunk, ChunkCopier } from '../../src/kernel/ports.ts';

export interface ChunkCopierSubject {
  readonly copier: ChunkCopier;
  /** At least two of them. */
  readonly chunks: readonly Chunk[];
  /** Documents at the source, in all. */
  readonly docs: number;
  source(): Promise<unknown>;
  target(): Promise<unknown>;
  /** Adds documents to the source. */
  write(): Promise<void>;
  /** Whether everything that was there at first is at the target. */
  holdsFirst(): Promise<boolean>;
  /** Takes the source's data away altogether. */
  drop(): Promise<void>;
}

const never = new AbortController().signal;
const ignore = () => undefined;

/** What `ChunkCopier` promises. */
export function describeChunkCopierContract(name: string, make: () => Promise<ChunkCopierSubject>): void {
  test(`${name}: chunks in any order, several at once, are the whole; progress counts every document once`, async () => {
    const subject = await make();
    expect(subject.chunks.length).toBeGreaterThan(1);
    let docs = 0;
    let bytes = 0;
    const count = (moreDocs: number, moreBytes: number) => {
      docs += moreDocs;
      bytes += moreBytes;
    };
    await Promise.all([...subject.chunks].reverse().map((chunk) => subject.copier.copy(chunk, count, never)));
    expect(await subject.target()).toEqual(await subject.source());
    expect(docs).toBe(subject.docs);
    expect(bytes).toBeGreaterThan(0);
  });

  test(`${name}: a chunk may be repeated from its start, also when it was broken off`, async () => {
    const subject = await make();
    const [first] = subject.chunks;
    for (let i = 0; i < 2; i += 1) await subject.copier.copy(first!, ignore, never);
    const stop = new AbortController();
    await subject.copier.copy(first!, () => stop.abort(), stop.signal).catch(ignore);
    for (const chunk of subject.chunks) await subject.copier.copy(chunk, ignore, never);
    expect(await subject.target()).toEqual(await subject.source());
  });

  test(`${name}: what existed when it began is there when it returns, whatever is written meanwhile`, async () => {
    const subject = await make();
    const writing = subject.write();
    for (const chunk of subject.chunks) await subject.copier.copy(chunk, ignore, never);
    await writing;
    expect(await subject.holdsFirst()).toBe(true);
  });

  test(`${name}: a stop is heeded`, async () => {
    const subject = await make();
    const stopped = AbortSignal.abort();
    await expect(subject.copier.copy(subject.chunks[0]!, ignore, stopped)).rejects.toMatchObject({ code: 'GW8001' });
  });

  test(`${name}: data that is gone meanwhile is no failure: the log tells of it`, async () => {
    const subject = await make();
    await subject.drop();
    for (const chunk of subject.chunks) await subject.copier.copy(chunk, ignore, never);
  });
}
