import { expect, test } from 'vitest';
import type { Entry } from '../../src/kernel/ports.ts';

export interface EntrySubject {
  /** Another object for the same entry and memory, as another process makes it. */
  open(): Entry;
  /** Where applications are sent now. */
  where(): Promise<'source' | 'target'>;
  /** Makes the entry unusable. */
  break(): Promise<void>;
}

const never = new AbortController().signal;

/** What `Entry` promises. */
export function describeEntryContract(name: string, make: () => Promise<EntrySubject>): void {
  test(`${name}: looking changes nothing`, async () => {
    const subject = await make();
    await subject.open().check(never);
    expect(await subject.where()).toBe('source');
    await subject.open().flip(never);
    await subject.open().check(never);
    expect(await subject.where()).toBe('target');
  });

  test(`${name}: goes there and back, as often as asked, by one process or by several`, async () => {
    const subject = await make();
    for (let round = 0; round < 2; round += 1) {
      const entry = subject.open();
      await entry.flip(never);
      await entry.flip(never);
      await subject.open().flip(never);
      expect(await subject.where()).toBe('target');
      await subject.open().unflip(never);
      await subject.open().unflip(never);
      expect(await subject.where()).toBe('source');
    }
  });

  test(`${name}: going back from where it never went leaves the source`, async () => {
    const subject = await make();
    await subject.open().unflip(never);
    expect(await subject.where()).toBe('source');
  });

  test(`${name}: says beforehand that it cannot work, with GW7005 or GW1001`, async () => {
    const subject = await make();
    await subject.break();
    const code = expect.stringMatching(/^GW(7005|1001)$/);
    await expect(subject.open().check(never)).rejects.toMatchObject({ code });
    await expect(subject.open().flip(never)).rejects.toMatchObject({ code });
  });

  test(`${name}: a stop comes before anything is changed`, async () => {
    const subject = await make();
    const stopped = AbortSignal.abort();
    for (const call of ['check', 'flip', 'unflip'] as const) {
      await expect(subject.open()[call](stopped)).rejects.toMatchObject({ code: 'GW8001' });
    }
    expect(await subject.where()).toBe('source');
  });
}
