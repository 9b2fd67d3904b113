/** A made-up run, for tests of the report and for looking at it. */
import type { ReportData, ReportEvent, Sample } from './data.ts';

const START = Date.parse('2026-03-01T12:00:00.000Z');
const at = (seconds: number) => START + seconds * 1000;

function madeUpSamples(): Sample[] {
  const samples: Sample[] = [];
  let copyBytes = 0;
  let entriesApplied = 0;
  for (let second = 0; second <= 75; second += 1) {
    const wobble = 0.5 + 0.5 * Math.sin(second * 1.7) * Math.cos(second * 0.6);
    const stopped = second >= 18 && second < 22;
    const throttled = second >= 30 && second < 38;
    if (second <= 40 && !stopped) copyBytes += (throttled ? 16e6 : 44e6) + wobble * 9e6;
    const backlog = second > 42 && second < 47;
    if (second > 42) entriesApplied += backlog ? 17_000 + wobble * 3000 : 2_800 + wobble * 500;
    samples.push({
      atMs: at(second),
      values: {
        copyBytes,
        copyDocs: Math.floor(copyBytes / 1100),
        entriesApplied: Math.floor(entriesApplied),
        spoolBytes: second * 700_000,
        ...(second > 42 ? { lagSeconds: backlog ? (47 - second) * 9 + wobble : 0.15 + wobble * 0.3 } : {}),
      },
    });
  }
  return samples;
}

const EVENTS: readonly (readonly [number, string, Record<string, unknown>])[] = [
  [0, 'created', { phase: 'created' }],
  [0.4, 'copy-started', { phase: 'copying', collections: 5, start: '67c2a000.1' }],
  [18, 'fault', { code: 'GW3002', message: 'The primary of <rs0> changed' }],
  [22.1, 'fault-over', { seconds: 4.1 }],
  [30, 'throttle', { reason: 'neighbours 1.31 × slower (limit 1.25 ×)' }],
  [38, 'throttle-over', {}],
  [42, 'copied', { phase: 'following', documents: 1_500_000 }],
  [58, 'proved', { phase: 'verified', documents: 1_531_004, differences: 0 }],
  [63, 'fence-raised', { phase: 'fencing', fence: 'roles', users: ['shop_app'] }],
  [63.1, 'draining', { phase: 'draining' }],
  [63.3, 'switching', { phase: 'switching' }],
  [63.41, 'switched', { phase: 'switched', stallMs: 412 }],
  [74, 'confirmed', { phase: 'confirmed' }],
];

export function madeUpReport(): ReportData {
  const samples = madeUpSamples();
  const last = samples[samples.length - 1]?.values ?? {};
  const collection = (name: string, docs: number, bytes: number, target = name) =>
    ({ namespace: name, target, state: 'ready', docs, docsTotal: docs, bytes, bytesTotal: bytes }) as const;
  const events: ReportEvent[] = EVENTS.map(([seconds, kind, data], seq) => ({ seq, atMs: at(seconds), kind, data }));
  return {
    godwit: '0.1.0',
    samples,
    events,
    drift: [],
    proof: {
      at: '2026-03-01T12:00:58.000Z',
      docs: 1_531_004,
      bytes: 1_734_000_000,
      drift: 0,
      digest: '9f86d081884c7d65',
    },
    status: {
      version: 1,
      route: 'migrate',
      run: 'shop',
      phase: 'confirmed',
      at: '2026-03-01T12:01:15.000Z',
      startedAt: '2026-03-01T12:00:00.000Z',
      runner: { alive: true, pid: 4711 },
      paused: null,
      throttled: null,
      from: 'mongodb://***@old-1.example:27017,old-2.example:27017/?replicaSet=old',
      to: 'mongodb://***@new-1.example:27017/?replicaSet=new',
      copy: {
        docs: last.copyDocs ?? 0,
        docsTotal: last.copyDocs ?? 0,
        bytes: last.copyBytes ?? 0,
        bytesTotal: last.copyBytes ?? 0,
        mbPerSecond: 0,
        docsPerSecond: 0,
        secondsLeft: null,
        collections: [
          collection('shop.orders', 812_000, 913_000_000),
          collection('shop.items', 540_300, 610_400_000),
          collection('shop.customers', 98_000, 101_000_000, 'store.customers'),
          collection('shop.carts', 44_100, 30_100_000),
          collection('shop.<script>alert(1)</script>', 6, 4_100),
        ],
      },
      log: {
        spooledTo: null,
        appliedTo: null,
        spoolBytes: 52_500_000,
        entriesApplied: last.entriesApplied ?? 0,
        entriesPerSecond: 2_900,
        lagSeconds: 0.21,
      },
      verify: { state: 'equal', at: '2026-03-01T12:00:58.000Z', docs: 1_531_004, docsTotal: 1_531_004, drift: 0 },
      cutover: { fence: 'roles', stallMs: 412, switchedAt: '2026-03-01T12:01:03.410Z' },
      fault: null,
    },
  };
}
