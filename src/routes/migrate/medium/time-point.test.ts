import { describe, expect, test } from 'vitest';
import { parseTimePoint } from './time-point.ts';

describe('a time point as people say it', () => {
  test.each([
    ['1795251000:3', '6b015b3800000003'],
    ['Timestamp(1795251000, 3)', '6b015b3800000003'],
    [' 1795251000:0 ', '6b015b3800000000'],
    ['2026-11-21T08:50:00Z', '6b015b38ffffffff'],
    ['2026-11-21T08:50:00.999Z', '6b015b38ffffffff'],
    ['2026-11-21T09:50:00+01:00', '6b015b38ffffffff'],
  ])('%j', (text, position) => expect(parseTimePoint(text)).toBe(position));

  test.each(['', 'yesterday', '12:3', '1795251000', '1795251000:99999999999', '2026-13-45'])('%j is none', (text) =>
    expect(() => parseTimePoint(text)).toThrow(expect.objectContaining({ code: 'GW1001' })),
  );
});
