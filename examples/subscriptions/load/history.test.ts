import { expect, test } from 'vitest';
import { History, type Person } from './history.ts';

const person = (email: string, ...plans: readonly string[]): Person => ({
  email,
  name: 'Ann',
  subscriptions: plans.map((plan) => ({ plan, amount: 5, started: '2026-01-02T03:04:05.000Z' })),
});

test('a read may show what was acknowledged, or what is under way, and nothing older', () => {
  const history = new History();
  history.know('1', person('old'));
  history.beginWrite('1', person('new'));
  expect(history.endRead(history.beginRead('1'), person('old'))).toBe('right');
  const early = history.beginRead('1');
  history.endWrite('1', 'acknowledged');
  expect(history.endRead(early, person('old'))).toBe('right');
  expect(history.endRead(history.beginRead('1'), person('old'))).toBe('stale');
  expect(history.endRead(history.beginRead('1'), undefined)).toBe('wrong');
  expect(history.endRead(history.beginRead('1'), person('new'))).toBe('right');
});

test('what one read saw, a later one may not take back, even before the write is acknowledged', () => {
  const history = new History();
  history.know('1', person('old'));
  history.beginWrite('1', person('new'));
  expect(history.endRead(history.beginRead('1'), person('new'))).toBe('right');
  expect(history.endRead(history.beginRead('1'), person('old'))).toBe('stale');
});

test('the order of subscriptions says nothing; their number and values do', () => {
  const history = new History();
  history.know('1', person('a', 'room', 'drinks'));
  const seen = (...plans: readonly string[]) => history.endRead(history.beginRead('1'), person('a', ...plans));
  expect(seen('drinks', 'room')).toBe('right');
  expect(seen('room')).toBe('wrong');
  expect(seen('room', 'drinks', 'drinks')).toBe('wrong');
  expect(history.endRead(history.beginRead('1'), {} as Person)).toBe('wrong');
});

test('a whole state: lost, resurrected, doubled and outdated customers are each found', () => {
  const history = new History();
  for (const id of ['1', '2', '3', '4']) history.know(id, person('a'));
  history.beginWrite('2', undefined);
  history.endWrite('2', 'acknowledged');
  history.beginWrite('3', person('b'));
  history.endWrite('3', 'acknowledged');
  const look = (seen: Record<string, Person>) => history.endWhole(history.beginWhole(), new Map(Object.entries(seen)));
  const right = { '1': person('a'), '3': person('b'), '4': person('a') };
  expect(look(right)).toMatchObject({ missing: 0, extra: 0, mismatched: 0 });
  expect(look({ '1': person('a'), '3': person('b') })).toMatchObject({ missing: 1, extra: 0, mismatched: 0 });
  expect(look({ ...right, '2': person('a') })).toMatchObject({ missing: 0, extra: 1, mismatched: 0 });
  expect(look({ ...right, '9': person('a') })).toMatchObject({ missing: 0, extra: 1, mismatched: 0 });
  expect(look({ ...right, '3': person('a') })).toMatchObject({ missing: 0, extra: 0, mismatched: 1 });
});

test('a write of which nobody knows whether it was done leaves both looks right, and the customer alone', () => {
  const history = new History();
  history.know('1', person('old'));
  history.beginWrite('1', person('new'));
  history.endWrite('1', 'unknown');
  expect(history.settled('1')).toBeUndefined();
  expect(history.endRead(history.beginRead('1'), person('old'))).toBe('right');
  expect(history.endRead(history.beginRead('1'), person('new'))).toBe('right');
});
