import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { DescribedColumn } from '../../../kernel/remodel/index.ts';
import { tryMadeUp } from './commands/check.ts';
import { definitionText } from './definition-text.ts';
import { loadDefinition } from './load-definition.ts';

const LIBRARY = fileURLToPath(new URL('../../../remodel.ts', import.meta.url));
const column = (storedAs: string, type: DescribedColumn['type'], more: Partial<DescribedColumn> = {}) => ({
  storedAs,
  type,
  storedType: String(type),
  isNullable: false,
  isKey: false,
  ...more,
});
const COLUMNS: readonly DescribedColumn[] = [
  column('Odd Name', 'text', { isNullable: true }),
  column('customer_id', 'bigint', { isKey: true }),
  column('address_2', 'text', { isNullable: true }),
  column("it's", 'boolean'),
  column('place', undefined, { storedType: 'point' }),
];

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'godwit-definition-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function write(name: string, text: string): string {
  const file = join(folder, name);
  writeFileSync(file, text.replace("'godwit/remodel'", JSON.stringify(LIBRARY)));
  return file;
}

test('what init writes loads as it is, and nothing refutes it', async () => {
  const text = definitionText('shop.customers', COLUMNS, 'pgTable');
  const model = await loadDefinition(write('begin.ts', text), undefined);
  expect(model).toMatchObject({ name: 'customers', key: 'customerId', root: 'root', lists: ['items'] });
  expect(model.from).toMatchObject({ name: 'shop.customers' });
  const names = Object.fromEntries(Object.entries(model.from.columns).map(([name, { storedAs }]) => [name, storedAs]));
  expect(names).toEqual({ oddName: 'Odd Name', customerId: undefined, address2: 'address_2', itS: "it's" });
  expect(text).toContain('// TODO place (point) has no column type here');
  expect(tryMadeUp(model, 500, 1).broken).toBeUndefined();
});

test('a file is asked for the one definition that is meant', async () => {
  const text = definitionText('customers', COLUMNS, 'pgTable');
  const two = write('two.ts', `${text}\nexport const other = { ...customers, name: 'other' };`);
  expect((await loadDefinition(two, 'other')).name).toBe('other');
  const refused = async (file: string, name?: string) =>
    loadDefinition(file, name).then(
      () => 'loaded',
      (error: unknown) => (error as { code: string; message: string }).message,
    );
  expect(await refused(two)).toMatch(/several definitions: say which by --remodel \(customers, other\)/);
  expect(await refused(two, 'third')).toMatch(/no definition third, only customers, other/);
  expect(await refused(write('none.ts', 'export const a = 1;'))).toMatch(/exports nothing that defineMigration made/);
  expect(await refused(join(folder, 'absent.ts'))).toMatch(/does not exist/);
  expect(await refused(write('broken.ts', "throw new Error('oops');"))).toMatch(/cannot be loaded: oops/);
});
