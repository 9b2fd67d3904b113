import { expect, test } from 'vitest';
import { Checker } from './checker.ts';
import type { Look } from './person.ts';

const look = (email: string, subs: Record<string, string> = {}): Look => ({ email, subs });
const email = (to: string) => ({ kind: 'email', email: to }) as const;

function checker(): Checker {
  const made = new Checker();
  made.know(1, look('a'));
  return made;
}

test('an acknowledged write must be seen, and nothing older', () => {
  const it = checker();
  it.begin(1, email('b'));
  const during = it.beginRead(1);
  expect(it.judge(1, during, look('a'))).toBe('right');
  expect(it.judge(1, during, look('b'))).toBe('right');
  expect(it.end(1, email('b'), 'done')).toBe(true);
  expect(it.judge(1, during, look('a'))).toBe('right');
  const later = it.beginRead(1);
  expect(it.judge(1, later, look('a'))).toBe('stale');
  expect(it.judge(1, later, look('c'))).toBe('wrong');
  expect(it.judge(1, later, look('b', { x: 'p' }))).toBe('wrong');
  expect(it.judge(1, later, undefined)).toBe('wrong');
});

test('nobody knows what became of a write whose process died; of a refused one everybody', () => {
  const it = checker();
  it.begin(1, email('b'));
  it.end(1, email('b'), 'unknown');
  expect(it.whole(new Map([[1, look('a')]]))).toEqual([]);
  expect(it.whole(new Map([[1, look('b')]]))).toEqual([]);
  it.begin(1, { kind: 'insert', id: 's', plan: 'p' });
  it.end(1, { kind: 'insert', id: 's', plan: 'p' }, 'done');
  expect(it.whole(new Map([[1, look('a', { s: 'p' })]]))).toEqual([]);
  expect(it.whole(new Map([[1, look('a')]]))).toHaveLength(1);
  it.begin(1, { kind: 'create', email: 'z' });
  expect(it.end(1, { kind: 'create', email: 'z' }, 'refused')).toBe(true);
  it.begin(1, email('q'));
  // Nothing it may be would refuse that.
  expect(it.end(1, email('q'), 'refused')).toBe(false);
});

test('lost, resurrected, doubled and never made are found in a whole state', () => {
  const it = checker();
  it.know(2, undefined);
  it.begin(1, { kind: 'insert', id: 's', plan: 'p' });
  it.end(1, { kind: 'insert', id: 's', plan: 'p' }, 'done');
  const right: [number, Look][] = [[1, look('a', { s: 'p' })]];
  expect(it.whole(new Map(right))).toEqual([]);
  expect(it.whole(new Map())).toHaveLength(1);
  expect(it.whole(new Map([[1, look('a', { s: 'p', t: 'p' })]]))).toHaveLength(1);
  expect(it.whole(new Map([...right, [2, look('x')]]))).toHaveLength(1);
  expect(it.whole(new Map([...right, [3, look('x')]]))).toHaveLength(1);
});
