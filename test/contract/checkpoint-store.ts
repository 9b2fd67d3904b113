import { expect, test } from 'vitest';
import type { CheckpointStore } from '../../src/kernel/ports.ts';

export interface CheckpointStoreSubject {
  /** In phase `created`. */
  readonly store: CheckpointStore;
  /** The same store as another process sees it. */
  reopened(): CheckpointStore;
  /** Kinds of the run's history, oldest first. */
  history(store: CheckpointStore): string[];
}

/** What `CheckpointStore` promises. */
export function describeCheckpointStoreContract(name: string, make: () => CheckpointStoreSubject): void {
  test(`${name}: values come back, also to another process`, () => {
    const subject = make();
    const { store } = subject;
    expect(store.get('a')).toBeUndefined();
    const value = { text: 'é\u0000😀', list: [1, null, { deep: true }], number: 1e-7 };
    store.set('a', value);
    store.set('b', 1);
    store.set('b', 2);
    for (const one of [store, subject.reopened()]) {
      expect(one.get('a')).toEqual(value);
      expect(one.get('b')).toBe(2);
      expect(one.phase).toBe('created');
    }
  });

  test(`${name}: what is given out is not the stored value itself`, () => {
    const { store } = make();
    const value = { n: 1 };
    store.set('a', value);
    value.n = 2;
    expect(store.get('a')).toEqual({ n: 1 });
    store.get<{ n: number }>('a')!.n = 3;
    expect(store.get('a')).toEqual({ n: 1 });
  });

  test(`${name}: a commit is all or nothing, also one inside another`, () => {
    const subject = make();
    const { store } = subject;
    store.set('a', 'before');
    expect(() =>
      store.commit(() => {
        store.set('a', 'after');
        store.set('b', 1);
        store.event('never', {});
        throw new Error('in the middle');
      }),
    ).toThrow('in the middle');
    store.commit(() => {
      store.set('c', 1);
      try {
        store.commit(() => {
          store.set('c', 2);
          throw new Error('inner');
        });
      } catch {
        store.set('d', 1);
      }
    });
    for (const one of [store, subject.reopened()]) {
      expect([one.get('a'), one.get('b'), one.get('c'), one.get('d')]).toEqual(['before', undefined, 1, 1]);
      expect(subject.history(one)).not.toContain('never');
    }
  });

  test(`${name}: a phase is entered with its event and its work, in one`, () => {
    const subject = make();
    const { store } = subject;
    store.enter('copying', 'planned', () => store.set('plan', 1));
    const again = subject.reopened();
    expect([again.phase, again.get('plan')]).toEqual(['copying', 1]);
    expect(subject.history(again)).toContain('planned');
  });

  test(`${name}: work that fails leaves phase and history as they were`, () => {
    const subject = make();
    const { store } = subject;
    const fails = () => {
      store.set('plan', 1);
      throw new Error('in the middle');
    };
    expect(() => store.enter('copying', 'planned', fails)).toThrow('in the middle');
    const again = subject.reopened();
    expect([again.phase, again.get('plan')]).toEqual(['created', undefined]);
    expect(subject.history(again)).not.toContain('planned');
  });

  test(`${name}: a move that the table does not have is a bug, and nothing happens`, () => {
    const subject = make();
    const { store } = subject;
    for (const phase of ['created', 'switched', 'done'] as const) {
      expect(() => store.enter(phase, 'no', () => store.set('x', 1))).toThrow(
        expect.objectContaining({ code: 'GW9001' }),
      );
    }
    expect([store.phase, store.get('x')]).toEqual(['created', undefined]);
    store.enter('cancelled', 'cancelled');
    expect(() => store.enter('copying', 'no')).toThrow(expect.objectContaining({ code: 'GW9001' }));
  });
}
