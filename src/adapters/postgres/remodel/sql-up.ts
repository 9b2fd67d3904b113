/** What the definition's SQL makes of some old rows, for comparison with `up`; nothing is stored. */
import type pg from 'pg';
import { GodwitError } from '../../../kernel/errors.ts';
import { childId, type Model, type Row, type State } from '../../../kernel/remodel/index.ts';
import { translate } from '../errors.ts';
import { type Executor, onPg } from './executor.ts';
import {
  columnTypes,
  emptyState,
  quote,
  rowExpression,
  rowOf,
  rowsAsSelect,
  type SqlModel,
  type SqlTable,
} from './tables.ts';

const SLOT = 'slot';

/**
 * States in the order of the rows, whose keys must differ.
 * @throws GodwitError GW5006 when the SQL fails or leaves out what it must give.
 */
export async function sqlStates(
  client: pg.ClientBase,
  tables: SqlModel,
  rows: readonly Row[],
): Promise<readonly State[]> {
  const exec = onPg(client);
  const { model } = tables;
  const given = await oldRows(exec, tables, rows);
  const states = rows.map(() => emptyState(model) as Record<string, Row[]>);
  const places = new Map(rows.map((row, place) => [String(row[model.key]), place]));
  try {
    for (const table of tables.all) {
      const sql = model.sql?.up[table.as];
      if (sql === undefined)
        throw new GodwitError('GW5006', `Remodel ${model.name}: sql.up has nothing for ${table.as}`);
      const made = await rowsOf(client, exec, given, table, sql.trim().replace(/;$/, ''), model);
      for (const { identity, row } of made) {
        const place = places.get(identity);
        if (place !== undefined) states[place]?.[table.as]?.push(row);
      }
    }
  } catch (error) {
    if (error instanceof GodwitError) throw error;
    throw new GodwitError('GW5006', translate(error, `Remodel ${model.name}: sql.up`).message, { cause: error });
  }
  return states;
}

interface Given {
  readonly select: string;
  readonly params: readonly (readonly (string | null)[])[];
}

/** The rows as `old`: columns that the model does not know are null. */
async function oldRows(exec: Executor, { model, old }: SqlModel, rows: readonly Row[]): Promise<Given> {
  const { sql, params } = rowsAsSelect(old, rows);
  const known = old.columns.map((column, i) => `v.v${i} as ${column.name}`);
  const others = [...(await columnTypes(exec, model.from.name))]
    .filter(([name]) => !old.columns.some((column) => column.name === quote(name)))
    .map(([name, type]) => `null::${type} as ${quote(name)}`);
  const names = old.columns.map((_, i) => `v${i}`).join(', ');
  return { select: `select ${[...known, ...others].join(', ')} from (${sql}) as v(${names})`, params };
}

async function rowsOf(
  client: pg.ClientBase,
  exec: Executor,
  given: Given,
  table: SqlTable,
  select: string,
  model: Model,
): Promise<readonly { readonly identity: string; readonly row: Row }[]> {
  const { fields } = await client.query(`with "old" as (${given.select}) select * from (${select}\n) q limit 0`, [
    ...given.params,
  ]);
  const names = new Set(fields.map(({ name }) => quote(name)));
  const values = table.columns.map(
    ({ name, sqlType }) => `${names.has(name) ? `q.${name}` : 'null'}::${sqlType} as ${name}`,
  );
  const slot = names.has(quote(SLOT)) ? `q.${quote(SLOT)}::text` : `'0'`;
  const { rows } = await exec.query(
    `with "old" as (${given.select}),
       typed as (select ${values.join(', ')}, ${slot} as "godwit slot" from (${select}\n) q)
     select t.${table.key.name}::text as identity, t."godwit slot" as slot, ${rowExpression(table, 't')} as v from typed t`,
    given.params,
  );
  return rows.map(({ identity, slot: at, v }) => {
    const row = rowOf(table, v as string);
    const { id } = table;
    if (id !== undefined && !names.has(id.name))
      row[id.property] = childId(model.name, table.as, identity as string, Number(at));
    return { identity: identity as string, row };
  });
}
