import { expect, test } from 'vitest';
import { differences } from './differences.ts';
import { Metrics } from './metrics.ts';
import { freshId } from './row-id.ts';

test('differences are named by path, and only those that count', () => {
  const a = { plan: 'x', list: [{ at: 1, n: 1n }], when: new Date(0), bytes: new Uint8Array([1]) };
  expect(differences(a, structuredClone(a))).toEqual([]);
  const b = { ...structuredClone(a), list: [{ at: 2, n: 2n }], extra: undefined };
  expect(differences(a, b)).toEqual(['list.0.at', 'list.0.n']);
  expect(differences(a, b, ['at'])).toEqual(['list.0.n']);
  expect(differences(a, { ...a, when: new Date(1) })).toEqual(['when']);
  expect(differences(null, a)).toEqual(['']);
  expect(differences([1], { 0: 1 })).toEqual(['']);
  expect(differences(0, -0)).toEqual(['']);
  expect(differences(Number.NaN, Number.NaN)).toEqual([]);
});

test('fresh ids are UUIDs of version 7, in the order of time', () => {
  const ids = Array.from({ length: 100 }, (_, i) => freshId(1_700_000_000_000 + i));
  for (const id of ids) expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  expect([...ids].sort()).toEqual(ids);
  expect(Number.parseInt(ids[0]?.replace('-', '').slice(0, 12) as string, 16)).toBe(1_700_000_000_000);
});

test('metrics are text that Prometheus reads', () => {
  const metrics = new Metrics();
  metrics.count('godwit_reads_total', { remodel: 'a"b\\', side: 'old' });
  metrics.count('godwit_reads_total', { remodel: 'a"b\\', side: 'old' }, 2);
  for (let ms = 1; ms <= 100; ms++) metrics.time('godwit_write_seconds', { remodel: 'x', owner: 'new' }, ms);
  const text = metrics.text([{ family: 'godwit_control_epoch', labels: { remodel: 'x' }, value: 4 }]);
  expect(text).toContain('# TYPE godwit_reads_total counter\ngodwit_reads_total{remodel="a\\"b\\\\",side="old"} 3\n');
  expect(text).toContain('# TYPE godwit_control_epoch gauge\ngodwit_control_epoch{remodel="x"} 4\n');
  expect(text).toMatch(/godwit_write_seconds\{remodel="x",owner="new",quantile="0.5"\} 0\.05\d*\n/);
  expect(text).toContain('godwit_write_seconds_count{remodel="x",owner="new"} 100\n');
  expect(text.match(/# TYPE godwit_write_seconds summary/g)).toHaveLength(1);
  const { count, p50Ms, p99Ms } = metrics.latency('godwit_write_seconds', { remodel: 'x', owner: 'new' });
  expect([count, Math.round(p50Ms), Math.round(p99Ms)]).toEqual([100, 50, 99]);
});
