import fc from 'fast-check';
import { expect, test } from 'vitest';
import { walkKey } from '../source/catalog-record.ts';
import { fromText, joinPath, toC, toText } from './bytes.ts';

test('names are shown as they are where they are text, and as escapes where they are not', () => {
  expect(toText(fromText('Grüße/日本'))).toBe('Grüße/日本');
  expect(toText('a\xff\n')).toBe('a\\xff\\x0a');
  expect(toText(fromText('é\u001b[31m'))).toBe('\\xc3\\xa9\\x1b[31m');
  expect(toText('a\\x41')).toBe('a\\x5cx41');
});

test('two names are never shown alike', () => {
  const name = fc.uint8Array({ maxLength: 12 }).map((bytes) => Buffer.from(bytes).toString('latin1'));
  fc.assert(
    fc.property(name, name, (a, b) => (a === b) === (toText(a) === toText(b))),
    { numRuns: 3000 },
  );
});

test('C has the bytes and a NUL after them, also of long paths', () => {
  expect([...toC('a\xff')].slice(0, 3)).toEqual([97, 255, 0]);
  expect(toC('x'.repeat(9000))).toHaveLength(9001);
});

test('the order of keys is the order of the walk: a directory, what is in it, its end, then what sorts after it', () => {
  const order = [
    walkKey(0, ''),
    walkKey(0, 'a'),
    walkKey(0, joinPath('a', '\x01')),
    walkKey(0, 'a/b'),
    walkKey(0, 'a', true),
  ];
  order.push(walkKey(0, 'a\x01'), walkKey(0, 'a!'), walkKey(0, 'a\xff'), walkKey(0, '', true), walkKey(1, ''));
  expect([...order].sort()).toEqual(order);
});
