import { expect, test } from 'vitest';
import { childId } from './index.ts';

test('an id is the same for ever: another one would double rows that were copied already', () => {
  expect(childId('subs', 'subscription', '42', 0)).toBe('d25ffd39-8009-804c-804a-67000cfa4412');
  const ids = [
    childId('subs', 'subscription', '42', 1),
    childId('subs', 'subscription', '43', 0),
    childId('subs', 'other', '42', 0),
    childId('others', 'subscription', '42', 0),
    childId('subs', 'subscription', 'ü"\n', 0),
  ];
  expect(new Set(ids).size).toBe(ids.length);
  // Version 8, variant of RFC 9562.
  for (const id of ids) expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
});
