import { expect, test } from 'vitest';
import type { AuditRow } from '../../../kernel/remodel/index.ts';
import { proofsOf, trapFacts } from './facts.ts';
import { brokenProofs, latestProof, makeProof } from './proof.ts';
import { latestShape, shapeDrift } from './shape.ts';
import { wayBack } from './way-back.ts';

const row = (epoch: number, event: string, data: Record<string, unknown>): AuditRow => ({
  at: new Date(epoch * 1_000).toISOString(),
  event,
  epoch,
  data,
});
const proved = (epoch: number, previous: string, facts: Record<string, unknown>) =>
  row(epoch, 'phase', { proof: makeProof('d', 'phase', [], facts, previous) });

test('proofs are chained: changing one, or leaving one out, shows', () => {
  const first = proved(1, '', { rows: 1 });
  const second = proved(2, latestProof([first]), { rows: 2 });
  const third = proved(3, latestProof([second, first]), { rows: 3 });
  expect(brokenProofs('d', [third, second, first])).toEqual([]);
  expect(brokenProofs('d', [third, first])).toEqual([third]);
  const changed = structuredClone(second) as unknown as { data: { proof: { facts: { rows: number } } } };
  changed.data.proof.facts.rows = 3;
  expect(brokenProofs('d', [third, changed as unknown as AuditRow, first])).toEqual([changed]);
  expect(brokenProofs('another', [third, second, first])).toHaveLength(3);
});

test('a proof does not depend on the order of names, which a database may change', () => {
  const hash = (facts: Record<string, unknown>) => makeProof('d', 'phase', [], facts, '').hash;
  expect(hash({ a: 1, b: { c: 2, d: 3 } })).toBe(hash({ b: { d: 3, c: 2 }, a: 1 }));
  expect(hash({ a: [1, 2] })).not.toBe(hash({ a: [2, 1] }));
});

test('proofs from before the present backfill count for nothing', () => {
  const result = (missing: number) => ({ result: { missing } });
  const audit = [
    row(6, 'verify', result(0)),
    row(5, 'backfill', {}),
    row(4, 'verify', result(1)),
    row(3, 'phase', { to: 'backfilling' }),
    row(2, 'verify', result(2)),
  ];
  expect(proofsOf(audit)).toEqual([{ missing: 0 }, { missing: 1 }]);
  expect(proofsOf([row(7, 'phase', { to: 'dual' }), ...audit])).toEqual([]);
});

test('reads of the trapped table count within the cycle and since it was trapped', () => {
  const audit = [row(100, 'phase', { to: 'trapped' }), row(50, 'phase', { to: 'trapped' })];
  const hits = [60, 110, 150].map((second) => ({
    at: new Date(second * 1_000).toISOString(),
    who: `reader ${second}`,
  }));
  expect(trapFacts(audit, hits, 200_000, 1_000_000)).toEqual({ hits: 2, trappedMs: 100_000, lastReader: 'reader 150' });
  expect(trapFacts(audit, hits, 200_000, 60_000)).toEqual({ hits: 1, trappedMs: 100_000, lastReader: 'reader 150' });
  expect(trapFacts(audit, hits, 200_000, 10_000).hits).toBe(0);
  expect(trapFacts([], hits, 200_000, 10_000)).toMatchObject({ hits: 0, trappedMs: 0 });
});

test('drift names what went and what came; the shape recorded last is the one', () => {
  expect(shapeDrift(['a', 'b'], ['b', 'c'])).toEqual(['- a', '+ c']);
  expect(shapeDrift(undefined, ['b'])).toEqual([]);
  expect(latestShape([row(2, 'shape-accepted', { shape: ['x'] }), row(1, 'create', { shape: ['y'] })])).toEqual(['x']);
});

test('every phase before the end has a way back, step by step', () => {
  expect(wayBack('trapped', 'draft')).toEqual(['new-only', 'reads', 'verified', 'dual', 'created', 'draft']);
  expect(wayBack('sealed', undefined)).toEqual(['dual']);
  expect(wayBack('backfilling', 'created')).toEqual(['dual', 'created']);
  for (const [from, to] of [
    ['retired', undefined],
    ['dual', 'sealed'],
    ['draft', undefined],
  ] as const)
    expect(() => wayBack(from, to)).toThrow(expect.objectContaining({ code: 'GW1004' }));
});
