import { expect, test } from 'vitest';
import type { OpRecord } from '../engine/record.ts';
import { amountOf, recoveryPoint } from './amounts.ts';
import { metricsText } from './metrics.ts';
import { outcomesOfPrimary } from './outcomes.ts';

const NOW = 1_700_000_010_000;

function record(sequence: number): OpRecord {
  return {
    ...{ kind: 'write', flags: 0, epoch: 2, sequence, offset: 0, length: 100, hash: 0n, place: 0 },
    ...{ time: (NOW - 10_000 + sequence * 1000) * 1000, crc: 0, before: 0, volume: 1 },
  };
}

const ENTRIES = [1, 2, 3, 4, 5].map((sequence) => ({ record: record(sequence), here: sequence !== 3 }));
const LOST = ['primary', 'auxiliary'] as const;

function point(settled: number) {
  return recoveryPoint({ lost: LOST, base: 0, entries: ENTRIES, isThere: ({ here }) => here, settled, now: NOW });
}

test('the volume would go on at the longest beginning without a gap; what comes after it is missing if it was promised', () => {
  expect(point(4)).toEqual({
    ...{ lost: LOST, sequence: 2, at: new Date(NOW - 8000).toISOString() },
    missing: { operations: 2, bytes: 200, seconds: 7 },
  });
  expect(point(2).missing).toEqual({ operations: 0, bytes: 0, seconds: 0 });
  const all = recoveryPoint({ lost: LOST, base: 7, entries: [], isThere: () => true, settled: 9, now: NOW });
  expect(all).toMatchObject({ sequence: 7, at: null, missing: { operations: 0 } });
  expect(amountOf([], NOW)).toEqual({ operations: 0, bytes: 0, seconds: 0 });
});

test('every possible failure has an outcome, by policy and mode', () => {
  const facts = { policy: 'zero', mode: 'full', alone: point(2), together: point(4), missedBytes: 0 } as const;
  const verdicts = (more: Partial<Parameters<typeof outcomesOfPrimary>[0]>) =>
    Object.fromEntries(
      outcomesOfPrimary({ ...facts, patienceMs: 30_000, ...more }).map(({ roles, verdict }) => [
        roles.join('+') || 'any',
        verdict,
      ]),
    );
  expect(verdicts({})).toEqual({
    primary: 'nothing',
    auxiliary: 'nothing',
    dr: 'nothing',
    'primary+auxiliary': 'operations',
    'auxiliary+dr': 'waits',
    'primary+dr': 'volume',
  });
  expect(verdicts({ mode: 'no-auxiliary' })).toMatchObject({ auxiliary: 'missing' });
  expect(verdicts({ mode: 'no-dr', missedBytes: 1 })).toMatchObject({
    ...{ dr: 'missing', primary: 'refused', 'primary+auxiliary': 'refused' },
  });
  // What is copied neither to the DR nor to the auxiliary is gone with the primary, and it says so.
  expect(verdicts({ policy: 'seed', alone: point(4) })).toMatchObject({ primary: 'operations' });
  expect(verdicts({ mode: undefined })).toEqual({ any: 'unknown' });
});

test('the page for Prometheus names each failure and each recovery point', () => {
  const lane = { sent: 1, received: 2 };
  const peer = { connected: true, order: lane, data: lane };
  const page = metricsText({
    ...{
      role: 'dr',
      incomplete: false,
      volume: 'v',
      phase: 'following',
      epoch: 2,
      base: 0,
      last: 5,
      stale: false,
      ringFill: 0.5,
    },
    ...{ dataLag: amountOf([record(3)], NOW), suspended: amountOf([], NOW), peers: { primary: peer, auxiliary: peer } },
    recoveryPoints: [point(5)],
    outcomes: [{ roles: LOST, fails: 'both', costs: 'some', verdict: 'operations' }],
  });
  const own = 'volume="v",role="dr"';
  expect(page).toContain(`godwit_protect_data_lag_seconds{${own}} 7\n`);
  expect(page).toContain(`godwit_protect_ring_fill_ratio{${own}} 0.5\n`);
  expect(page).toContain(`godwit_protect_recovery_point_operation{${own},lost="primary+auxiliary"} 2\n`);
  expect(page).toContain(`godwit_protect_recovery_point_lost_bytes{${own},lost="primary+auxiliary"} 300\n`);
  expect(page).toContain(`godwit_protect_failure_outcome{${own},fails="primary+auxiliary",outcome="operations"} 1\n`);
  expect(page).toContain(`godwit_protect_failure_outcome{${own},fails="primary+auxiliary",outcome="nothing"} 0\n`);
  // Every sample belongs to a family that says what it is, once.
  const families = [...page.matchAll(/^# TYPE (\S+) /gm)].map(([, name]) => name);
  expect(new Set(families).size).toBe(families.length);
  for (const [, name] of page.matchAll(/^(godwit_\S+?)\{/gm)) expect(families).toContain(name);
});
