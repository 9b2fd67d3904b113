import { expect, test } from 'vitest';
import { AFTER_KILL, HOLDS, type MovePhase, NEXT } from './phase.ts';

const PHASES = Object.keys(NEXT) as MovePhase[];
const MOVES = PHASES.flatMap((from) => NEXT[from].map((to: MovePhase) => [from, to] as const));

test('the services pass from one side to the other only through a phase in which they are stopped first', () => {
  const passes = MOVES.filter(([from, to]) => HOLDS[from] !== HOLDS[to]).map((move) => move.join(' → '));
  expect(passes).toEqual([
    'stopping → draining',
    'draining → starting',
    'draining → resuming',
    'going-back → resuming',
  ]);
});

test('every phase can be reached, and from every one but the last the source can have the services again or the move ends', () => {
  const reach = (from: MovePhase, seen = new Set<MovePhase>()): Set<MovePhase> => {
    if (!seen.has(from)) {
      seen.add(from);
      for (const to of NEXT[from]) reach(to, seen);
    }
    return seen;
  };
  expect([...reach('copying')].sort()).toEqual([...PHASES].sort());
  for (const phase of PHASES) expect(reach(phase).has('following') || reach(phase).has('committed'), phase).toBe(true);
});

test('who was killed goes back where nobody may have the services for long', () => {
  expect(PHASES.filter((phase) => AFTER_KILL[phase] === 'goes back')).toEqual(['stopping', 'draining']);
});
