import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { madeUpReport } from './fixtures/made-up-run.ts';
import { reportPage } from './page.ts';
import { marks, peaks, phaseBands, rate } from './series.ts';
import { averageCopyMbps, headline, proved } from './words.ts';
import { writeReport } from './write.ts';

test('both files are written whole, and nothing else stays', () => {
  const dir = mkdtempSync(join(tmpdir(), 'godwit-report-'));
  try {
    const paths = writeReport(join(dir, 'deep'), madeUpReport());
    expect(readdirSync(join(dir, 'deep')).sort()).toEqual(['report.html', 'report.json']);
    expect(JSON.parse(readFileSync(paths.json, 'utf8'))).toMatchObject({ version: 1, status: { run: 'shop' } });
    expect(readFileSync(paths.html, 'utf8')).toContain('Moved: applications use the target');
  } finally {
    rmSync(dir, { recursive: true });
  }
});

test('the page needs no network and cannot be injected into', () => {
  const page = reportPage(madeUpReport());
  expect(page).not.toMatch(/<script|(?:src|href)=|url\(|@import/);
  expect(page).toContain('shop.&lt;script&gt;alert(1)&lt;/script&gt;');
  expect(page).toContain('The primary of &lt;rs0&gt; changed');
  expect(page).not.toMatch(/NaN|undefined|Infinity/);
});

test('what was proved is said with figures, and what was not is said too', () => {
  expect(proved(madeUpReport()).map((sentence) => sentence.replaceAll('\u202f', ' '))).toMatchInlineSnapshot(`
    [
      "The comparison that ended at 2026-03-01T12:00:58.000Z read 1 531 004 documents (1.73 GB on each side) on both clusters and compared them byte for byte.",
      "It found no difference: none missing, none extra, none changed.",
      "Digest over all documents: 9f86d081884c7d65.",
      "160 700 log entries were applied to the target while the source was being written.",
      "The chosen namespaces refused writes for 412 ms (fence: roles); no other namespace was fenced.",
      "The address was switched at 2026-03-01T12:01:03.410Z.",
    ]
  `);
  const nothing = { ...madeUpReport(), proof: null };
  expect(proved(nothing)[0]).toBe('Nothing has been proved yet: no complete comparison of both sides has been made.');
  const drift = [{ unit: 'shop.orders', kind: 'missing', key: '{"_id":1}' }] as const;
  expect(headline({ ...madeUpReport(), drift })).toBe('Source and target differ');
  expect(reportPage({ ...madeUpReport(), drift })).toContain('{&quot;_id&quot;:1}');
});

test('an empty run still makes a page', () => {
  const page = reportPage({ ...madeUpReport(), samples: [], events: [], proof: null });
  expect(page).toContain('not measured');
  expect(page).not.toMatch(/NaN|undefined|Infinity/);
});

test('series: rates never fall below nothing, peaks survive, bands join', () => {
  const counter = [0, 10, 5, 25].map((copyBytes, second) => ({ atMs: second * 1000, values: { copyBytes } }));
  expect(rate(counter, 'copyBytes').map((point) => point.value)).toEqual([10, 0, 20]);
  const long = Array.from({ length: 10_000 }, (_, second) => ({
    atMs: second * 1000,
    values: { lagSeconds: second === 7_777 ? 99 : 0.1 },
  }));
  expect(peaks(long, 'lagSeconds').length).toBeLessThanOrEqual(240);
  expect(Math.max(...peaks(long, 'lagSeconds').map((point) => point.value))).toBe(99);
  const { events } = madeUpReport();
  const start = events[0]?.atMs ?? 0;
  expect(phaseBands(events, start, start + 75_000).map((band) => [band.phase, band.toMs - band.fromMs])).toEqual([
    ['created', 400],
    ['copying', 41_600],
    ['following', 16_000],
    ['verified', 5_000],
    ['fencing', 100],
    ['draining', 200],
    ['switching', 110],
    ['switched', 10_590],
    ['confirmed', 1_000],
  ]);
  expect(marks(events).map((mark) => mark.kind)).toEqual([
    'fault',
    'fault',
    'throttle',
    'throttle',
    'cutover',
    'cutover',
    'cutover',
  ]);
});

test('the average rate counts only the time in which the copy moved', () => {
  const copied = [0, 0, 50e6, 100e6, 100e6, 100e6].map((copyBytes, second) => ({
    atMs: second * 1000,
    values: { copyBytes },
  }));
  expect(averageCopyMbps(copied)).toBe(50);
  expect(averageCopyMbps([])).toBeNull();
});
