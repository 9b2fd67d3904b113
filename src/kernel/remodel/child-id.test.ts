import { expect, test } from 'vitest';
import { childId } from './index.ts';

test('an id is the same for ever: another one would double rows that were copied already', () => {
  expect(childId('subs', 'subscription', '42', 0)).toBe('ce1065c7-145a-5631-b197-e452a7453c56');
  const ids = [
    childId('subs', 'subscription', '42', 1),
    childId('subs', 'subscription', '43', 0),
    childId('subs', 'other', '42', 0),
    childId('others', 'subscription', '42', 0),
    childId('subs', 'subscription', 'ü"\n', 0),
  ];
  expect(new Set(ids).size).toBe(ids.length);
  // Version 5, variant of RFC 9562.
  for (const id of ids) expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
});
