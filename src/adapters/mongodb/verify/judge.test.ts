import { serialize } from 'bson';
import { expect, test } from 'vitest';
import type { Position } from '../../../kernel/position.ts';
import type { AsideRow } from './aside.ts';
import { judgeByLog, judgeByValues } from './judge.ts';
import type { ChangeKind, PendingChange } from './pending.ts';

const at = (n: number) => n.toString(16).padStart(16, '0') as Position;
const key = Buffer.from(serialize({ _id: 'k' }));
const row = (kind: AsideRow['kind'], source?: string, target?: string) => ({
  unit: 'a.b',
  key,
  kind,
  ...(source === undefined ? {} : { sourceDigest: source }),
  ...(target === undefined ? {} : { targetDigest: target }),
});
const change = (first: ChangeKind, last = first, more: Partial<PendingChange> = {}): PendingChange => ({
  first: { position: at(10), kind: first },
  last: { position: at(12), kind: last },
  count: first === last ? 1 : 2,
  wrote: [],
  wroteDiffs: false,
  ...more,
});
const evidence = (pending?: PendingChange, more: { unknown?: boolean; aheadTo?: number } = {}) => ({
  change: pending,
  unknown: more.unknown ?? false,
  aheadTo: at(more.aheadTo ?? 0),
});

test('by values: late only with the old value and a change', () => {
  const differs = row('different', 'new', 'old');
  const old = { source: 'old', target: 'old' };
  expect(judgeByValues(differs, evidence(change('update')), old, false)).toMatchObject({
    verdict: 'late',
    key: '"k"',
    before: 'old',
    entry: { position: at(10), kind: 'update', changes: 1 },
  });
  expect(judgeByValues(differs, evidence(), old, false)).toMatchObject({ verdict: 'wrong' });
  expect(judgeByValues(differs, evidence(undefined, { unknown: true }), old, false).verdict).toBe('late');
  const other = { source: 'old', target: 'tampered' };
  for (const isMoment of [true, false])
    expect(judgeByValues(differs, evidence(change('update')), other, isMoment).verdict).toBe('wrong');
  expect(
    judgeByValues(row('missing', 'new'), evidence(change('insert')), { source: undefined, target: undefined }, true),
  ).toMatchObject({ verdict: 'late', before: 'none' });
});

test('by values: what may be applied already without counting so is left to the log, but not at one moment', () => {
  const differs = row('different', 'newest', 'newer');
  const ahead = evidence(change('replace', 'replace', { wrote: ['newer', 'newest'] }), { aheadTo: 11 });
  const values = { source: 'old', target: 'newer' };
  expect(judgeByValues(differs, ahead, values, false).verdict).toBe('late');
  expect(judgeByValues(differs, ahead, values, true).verdict).toBe('wrong');
  const inserted = evidence(change('insert', 'update', { wrote: ['newer'], wroteDiffs: true }), { aheadTo: 11 });
  expect(judgeByValues(differs, inserted, { source: undefined, target: 'newer' }, false).verdict).toBe('late');
  expect(judgeByValues(differs, { ...ahead, aheadTo: at(9) }, values, false).verdict).toBe('wrong');
});

test('by the log alone: the first change must fit the target, and the last lead to the source', () => {
  const verdict = (kind: AsideRow['kind'], pending: PendingChange | undefined, source?: string) =>
    judgeByLog(row(kind, source), evidence(pending)).verdict;
  expect(verdict('different', undefined, 'x')).toBe('wrong');
  expect(verdict('missing', change('insert', 'insert', { wrote: ['x'] }), 'x')).toBe('late');
  expect(verdict('missing', change('insert', 'insert', { wrote: ['y'] }), 'x')).toBe('wrong');
  expect(verdict('missing', change('update', 'update', { wroteDiffs: true }), 'x')).toBe('wrong');
  expect(verdict('different', change('insert', 'insert', { wrote: ['x'] }), 'x')).toBe('wrong');
  expect(verdict('different', change('update', 'update', { wroteDiffs: true }), 'x')).toBe('late');
  expect(verdict('different', change('replace', 'replace', { wrote: ['x'] }), 'x')).toBe('late');
  expect(verdict('extra', change('delete'))).toBe('late');
  expect(verdict('extra', change('update', 'update', { wroteDiffs: true }))).toBe('wrong');
  expect(judgeByLog(row('different', 'x'), evidence(undefined, { unknown: true })).verdict).toBe('late');
});
