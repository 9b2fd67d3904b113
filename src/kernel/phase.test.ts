import { expect, test } from 'vitest';
import { isFinal, mayMove, NEXT, type Phase } from './phase.ts';

const PHASES = Object.keys(NEXT) as Phase[];
const next = (phase: Phase) => NEXT[phase] as readonly Phase[];

function reachable(from: Phase): Set<Phase> {
  const seen = new Set<Phase>([from]);
  for (const phase of seen) for (const to of next(phase)) seen.add(to);
  return seen;
}

test('every phase can be reached from the first, and from every phase an end can be reached', () => {
  expect([...reachable('created')].sort()).toEqual([...PHASES].sort());
  for (const phase of PHASES) expect([...reachable(phase)].some(isFinal), phase).toBe(true);
});

test('exactly done and cancelled are final', () => {
  expect(PHASES.filter(isFinal).sort()).toEqual(['cancelled', 'done']);
});

test('moves lead to phases there are, and mayMove says the table', () => {
  for (const from of PHASES) {
    for (const to of PHASES) expect(mayMove(from, to), `${from} → ${to}`).toBe(next(from).includes(to));
    for (const to of next(from)) expect(PHASES).toContain(to);
    expect(mayMove(from, from), `${from} to itself`).toBe(false);
  }
});

test('what must not be skipped is not', () => {
  /** What is reachable once a phase is left out. */
  const without = (from: Phase, left: Phase) => {
    const seen = new Set<Phase>([from]);
    for (const phase of seen) if (phase !== left) for (const to of next(phase)) seen.add(to);
    return seen;
  };
  // Nothing is switched without fence and drain, nothing deleted without a confirmation.
  expect(without('created', 'fencing').has('switched')).toBe(false);
  expect(without('created', 'draining').has('switched')).toBe(false);
  expect(without('created', 'confirmed').has('cleaning')).toBe(false);
  // After the confirmation there is no way back; before the switch an undone cutover leads to following.
  expect(reachable('confirmed').has('rolled-back')).toBe(false);
  for (const phase of ['fencing', 'draining', 'switching'] as const) expect(mayMove(phase, 'unfencing')).toBe(true);
  expect(next('unfencing')).toEqual(['following']);
  // A run in the middle of a cutover cannot be cancelled.
  expect(PHASES.filter((phase) => mayMove(phase, 'cancelled'))).toEqual([
    'created',
    'copying',
    'following',
    'verified',
    'resyncing',
    'rolled-back',
  ]);
});
