import { expect, test } from 'vitest';
import { bigint, defineMigration, definitionHash, pgTable, text, uuid } from './index.ts';

type Choose = (rows: readonly Record<string, never>[]) => Record<string, never>;
const make = (up: string, change: { table?: string; choose?: string } = {}): string => {
  const code = (source: string): never => new Function(`return ${source}`)() as never;
  return definitionHash(
    defineMigration({
      name: 'subs',
      key: 'id',
      from: pgTable('customers', { id: bigint(), plan: text().nullable() }),
      to: {
        customer: pgTable(change.table ?? 'customers_v2', { id: bigint() }),
        item: pgTable('items', { uid: uuid(), id: bigint(), plan: text() }, { many: true, id: 'uid' }),
      },
      up: code(up),
      down: code('(n) => n'),
      inverse: { policy: 'pick', choose: code(change.choose ?? '(rows) => rows[0]') as Choose as never },
    }),
  );
};
const UP = `(old) => {
  // one item at most
  return { customer: { id: old.id }, item: old.plan === 'a b' ? [] : [{ id: old.id, plan: old.plan }] };
}`;

test('the same program has the same hash, whoever compiled it', () => {
  const hash = make(UP);
  expect(hash).toMatch(/^[0-9a-f]{64}$/);
  expect(make(UP)).toBe(hash);
  expect(
    make(
      UP.replaceAll("'", '"')
        .replace(/\/\/.*/, '')
        .replaceAll('\n', ' ')
        .replace('}; }', '} }'),
    ),
  ).toBe(hash);
  expect(make(UP.replace('(old)', 'old').replaceAll('  ', '      ').replace('plan }]', 'plan, }]'))).toBe(hash);
});

test('compilers that keep names, write compactly or spell literals otherwise are looked through', () => {
  const spaced = `({ id, plan }) => {
    const tidy = (text) => text.replace(/['" ]/g, "it's"); // quotes
    return { customer: { id }, item: [{ id, plan: tidy(plan, [1, 2]) }] };
  }`;
  const compact = `({id,plan})=>{const tidy=__name(text=>text.replace(/['" ]/g,'it\\'s'),"tidy");return{customer:{id},item:[{id,plan:tidy(plan,[1,2])}]}}`;
  expect(make(compact)).toBe(make(spaced));
  expect(make(compact.replace(`['" ]`, `['"]`))).not.toBe(make(spaced));
});

test('what changes where a value goes changes it', () => {
  const hashes = [
    make(UP),
    make(UP.replace("'a b'", "'ab'")),
    make(UP.replace("'a b'", "'a  b'")),
    make(UP.replace('===', '!==')),
    make(UP, { table: 'customers_v3' }),
    make(UP, { choose: '(rows) => rows[1]' }),
  ];
  expect(new Set(hashes).size).toBe(hashes.length);
});
