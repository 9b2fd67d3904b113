import { expect, test } from 'vitest';
import {
  bigint,
  type Column,
  defineMigration,
  float,
  identityOf,
  integer,
  keyOfIdentity,
  pgTable,
  text,
  uuid,
} from './index.ts';

const keyed = (column: () => Column<never>) =>
  defineMigration({
    name: 'x',
    key: 'k',
    from: pgTable('a', { k: column() }),
    to: { root: pgTable('b', { k: column() }) },
    up: () => ({ root: {} as { k: never } }),
    down: ({ root }) => root,
    inverse: { policy: 'block' },
  });
const model = { bigint, integer, text, uuid, float } as unknown as Record<string, () => Column<never>>;
const of = (type: string, key: string | number | bigint) => identityOf(keyed(model[type] as never), key);

test('a key has one text form, whatever the driver gave', () => {
  expect([of('bigint', 7), of('bigint', '7'), of('bigint', 7n), of('bigint', '007')]).toEqual(['7', '7', '7', '7']);
  expect(of('bigint', '-9223372036854775808')).toBe('-9223372036854775808');
  expect(of('text', ' 7')).toBe(' 7');
  const id = '00000000-0000-4000-8000-00000000000a';
  expect([of('uuid', id.toUpperCase()), of('uuid', id.replaceAll('-', ''))]).toEqual([id, id]);
  expect(keyOfIdentity(keyed(model['bigint'] as never), '7')).toBe(7n);
  expect(keyOfIdentity(keyed(model['integer'] as never), '7')).toBe(7);
});

test.each([
  ['bigint', 2n ** 63n],
  ['bigint', 1.5],
  ['bigint', 2 ** 53],
  ['bigint', '7 '],
  ['bigint', '0x7'],
  ['integer', 2 ** 31],
  ['text', 7],
  ['uuid', '00000000-0000-4000-8000'],
])('%s refuses %s', (type, key) => {
  expect(() => of(type, key)).toThrow(expect.objectContaining({ code: 'GW5008' }));
});

test('a type that has no one text form is no key', () => {
  expect(() => of('float', 1)).toThrow(expect.objectContaining({ code: 'GW1006' }));
});
