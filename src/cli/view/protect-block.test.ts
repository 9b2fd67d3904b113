import { expect, test } from 'vitest';
import type { DrStatus, PrimaryStatus } from '../../routes/protect/api.ts';
import { makePaint } from '../paint.ts';
import { visibleLength } from './layout.ts';
import { protectBlock } from './protect-block.ts';
import { protectLine } from './protect-line.ts';
import { Paces } from './protect-paces.ts';

const NONE = { operations: 0, bytes: 0, seconds: 0 };
const LANE = { sent: 1_000_000, received: 10 };
const PEER = { connected: true, order: LANE, data: LANE };

const PRIMARY: PrimaryStatus = {
  ...{ role: 'primary', volume: 'db', phase: 'leading', policy: 'zero', mode: 'full', epoch: 2, hasLease: true },
  ...{
    size: 1 << 30,
    ioFlusher: 'on',
    last: 1_234_567,
    settled: 1_234_560,
    orderLag: 7,
    ringFill: 0.625,
    resyncBytes: 0,
  },
  dataLag: { operations: 1200, bytes: 4_915_200, seconds: 2.5 },
  sharedArea: { way: 'lane', state: 'in use' },
  peers: { auxiliary: PEER, dr: { ...PEER, connected: false } },
  recoveryPoints: [
    { lost: ['primary'], sequence: 1_234_560, at: '2026-01-02T03:04:05.678Z', missing: NONE },
    {
      lost: ['primary', 'auxiliary'],
      ...{ sequence: 1_233_360, at: null, missing: { operations: 1200, bytes: 4_915_200, seconds: 2.5 } },
    },
  ],
  outcomes: [
    { roles: ['primary'], fails: 'the primary', costs: 'nothing that was acknowledged is lost', verdict: 'nothing' },
    {
      roles: ['primary', 'auxiliary'],
      fails: 'the primary and the auxiliary',
      costs: '1200 operations (4915200 bytes) that have not arrived at the DR are lost, and named',
      verdict: 'operations',
    },
  ],
};

const DR: DrStatus = {
  ...{ role: 'dr', volume: 'db', phase: 'promoted', epoch: 3, base: 900, last: 1000, stale: false, incomplete: false },
  ...{ dataLag: NONE, suspended: NONE, ringFill: 0.1, recoveryPoints: [], outcomes: [] },
  peers: { primary: PEER, auxiliary: PEER },
  bringUp: { operations: 100, bytes: 50_000_000, seconds: 3 },
  failback: { step: 'copying', bytes: 1_000_000, remainingBytes: 40_000_000, comparedShare: 0.5 },
};

test('a primary shows its lags, its ring, its recovery points and what each failure would cost', () => {
  expect(protectBlock(PRIMARY, { columns: 100, paint: makePaint(false) })).toMatchInlineSnapshot(`
    [
      "db  primary, leading, epoch 2",
      "  policy      zero, mode full",
      "  operations  1.23 M, safe up to 1.23 M",
      "  order lag   7 operations",
      "  data lag    1.20 k operations, 4.92 MB, 2.5 s",
      "  ring        █████████████████████████░░░░░░░░░░░░░░░ 63 %",
      "  auxiliary   connected, sent 1.00 MB at once and 1.00 MB in its own time",
      "  shared area sent by messages (lane)",
      "  dr          not connected, sent 1.00 MB at once and 1.00 MB in its own time",
      "  memory      does not wait for what its user has filled",
      "  recovery point now",
      "    without primary: operation 1234560 of 03:04:05Z, nothing missing",
      "    without primary and auxiliary: operation 1233360, without 1.20 k operations, 4.92 MB, 2.5 s",
      "  if this fails now",
      "    the primary: nothing that was acknowledged is lost",
      "    the primary and the auxiliary: 1200 operations (4915200 bytes) that have not arrived at the DR",
      "      are lost, and named",
    ]
  `);
});

test('no line is wider than the terminal, and no word of an outcome is cut', () => {
  for (const columns of [60, 72, 100]) {
    const lines = protectBlock(PRIMARY, { columns, paint: makePaint(true) });
    for (const line of lines) expect(visibleLength(line)).toBeLessThanOrEqual(columns);
    const text = lines
      .join(' ')
      .replaceAll(/\p{Cc}\[\d+m/gu, '')
      .replaceAll(/\s+/g, ' ');
    expect(text).toContain('that have not arrived at the DR are lost, and named');
  }
});

test('rates and the time left come from what was seen before', () => {
  const paces = new Paces();
  const later = (bytes: number): DrStatus => ({
    ...DR,
    bringUp: { operations: 100, bytes: 50_000_000 - bytes, seconds: 3 },
    failback: { step: 'copying', bytes, remainingBytes: 40_000_000 - bytes, comparedShare: 0.5 },
  });
  paces.saw(later(0), 0);
  expect(paces.rate('failback')).toBeUndefined();
  for (let second = 1; second <= 20; second += 1) paces.saw(later(second * 1_000_000), second * 1000);
  expect(paces.rate('failback')).toBe(1_000_000);
  const text = protectBlock(later(20_000_000), { columns: 120, paint: makePaint(false), paces }).join('\n');
  expect(text).toContain('20.0 MB to send, 1.00 MB/s, 20 s left');
  expect(text).toContain('1.00 MB/s, 30 s left');
  // It was started again: what was counted before says nothing.
  paces.saw(later(0), 21_000);
  expect(paces.rate('failback')).toBeUndefined();
});

test('a line for logs is told at once when a phase or a mode changes', () => {
  const paces = new Paces();
  const { key, line } = protectLine(PRIMARY, paces);
  expect(line).toBe('db primary leading, mode full, order lag 7, data lag 4.92 MB, 2.5 s, ring 63 %');
  expect(protectLine({ ...PRIMARY, last: 9_999_999 }, paces).key).toBe(key);
  expect(protectLine({ ...PRIMARY, mode: 'no-dr' }, paces).key).not.toBe(key);
  expect(protectLine(undefined, paces).line).toContain('no role');
});
