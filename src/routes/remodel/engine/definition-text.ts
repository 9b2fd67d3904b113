/** A definition to begin from, as TypeScript, by the columns of a table. Pure. */
import type { DescribedColumn } from '../../../kernel/remodel/index.ts';

/** @param table `name`, or `schema.name`. */
export function definitionText(
  table: string,
  columns: readonly DescribedColumn[],
  maker: 'pgTable' | 'mongoCollection',
): string {
  const known = columns.filter(({ type }) => type !== undefined);
  const left = columns.filter(({ type }) => type === undefined);
  const key = known.find(({ isKey }) => isKey) ?? known[0];
  const keyName = key === undefined ? 'id' : propertyOf(key.storedAs);
  const rest = known.filter((column) => column !== key);
  const types = [...new Set([...known.map(({ type }) => String(type)), 'uuid'])].sort();
  const base = (table.split('.').at(-1) as string).replaceAll(/[^a-zA-Z0-9_]/g, '_');
  const line = (column: DescribedColumn) => `    ${propertyOf(column.storedAs)}: ${columnText(column, maker)},`;
  return `/**
 * A definition to begin from. TODO marks what only you can say.
 * Then: godwit remodel check --definition <this file> --db <address>
 */
import { ${['defineMigration', maker, ...types].sort().join(', ')} } from 'godwit/remodel';

export const ${camel(base)} = defineMigration({
  // Names the remodel for ever.
  name: '${base.toLowerCase().replaceAll('_', '-')}',
  // The property that holds the identity, in the old table and in every new one.
  key: '${keyName}',

  from: ${maker}('${table}', {
${known.map(line).join('\n')}
  }),${left.map(({ storedAs, storedType }) => `\n  // TODO ${storedAs} (${storedType}) has no column type here; it would stay as it is in the old table and be lost with it.`).join('')}

  to: {
    // Exactly one table has one row for each identity: its row says that the new model owns it.
    root: ${maker}('${table}_v2', {
${known.map((column) => `  ${line(column)}`).join('\n')}
    }),
    // TODO Move what there may be several of from the root into a list.
    items: ${maker}(
      '${table}_items',
      {
        id: uuid(),
        ${keyName}: ${key === undefined ? 'bigint()' : columnText(key, maker)},
        // TODO its columns
      },
      { many: true },
    ),
  },

  // An old row in the new model. Pure: the same row always gives the same result.
  up: (old) => ({
    root: { ${[...(key === undefined ? [] : [key]), ...rest].map(({ storedAs }) => `${propertyOf(storedAs)}: old.${propertyOf(storedAs)}`).join(', ')} },
    items: [], // TODO rows made of the old row; their ids may be left out
  }),

  // The way back: down(up(old)) must be old.
  down: ({ root }) => ({ ...root }),

  // TODO What becomes of a second item, which the old table has no room for:
  //   block     the write that would make it is refused
  //   pick      the old table shows one of them: { policy: 'pick', choose: (rows) => rows.at(-1)! }
  //   overflow  a nullable json column of the old table keeps the others
  inverse: { policy: 'block' },
});
`;
}

function columnText({ storedAs, type, isNullable }: DescribedColumn, maker: 'pgTable' | 'mongoCollection'): string {
  const byRule = maker === 'pgTable' ? snake(propertyOf(storedAs)) : propertyOf(storedAs);
  const named = byRule === storedAs ? '' : `.named('${storedAs.replaceAll("'", "\\'")}')`;
  return `${type}()${isNullable ? '.nullable()' : ''}${named}`;
}

/** A name that TypeScript takes without quotes. */
function propertyOf(storedAs: string): string {
  const name = camel(storedAs.replaceAll(/[^a-zA-Z0-9_]+/g, '_'));
  return /^[a-zA-Z]/.test(name) ? name : `column${name}`;
}

function camel(name: string): string {
  const joined = name.replaceAll(/_+([a-zA-Z0-9])/g, (_, letter: string) => letter.toUpperCase()).replaceAll('_', '');
  return joined.charAt(0).toLowerCase() + joined.slice(1);
}

function snake(name: string): string {
  return name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}
