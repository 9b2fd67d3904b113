/** The laws that transforms must keep, tried on one old row. Pure. */
import { type Model, type Row, rowText, type State, valueText } from '../../../../kernel/remodel/index.ts';

export interface Broken {
  readonly law: string;
  readonly columns: readonly string[];
  readonly message: string;
}

/** The first law that a row breaks. `sqlState`: what the definition's SQL made of it, where it was tried. */
export function tryLaws(model: Model, old: Row, sqlState?: State): Broken | undefined {
  const before = rowText(model.from.columns, old);
  const first = attempt('up', () => model.up(old));
  if ('broken' in first) return first.broken;
  if (rowText(model.from.columns, old) !== before)
    return { law: 'up changes nothing', columns: [], message: 'up changed the row it was given' };
  const again = attempt('up', () => model.up({ ...old }));
  if ('broken' in again) return again.broken;
  const impure = stateDifference(model, first.value, again.value);
  if (impure !== undefined)
    return { law: 'up is pure', columns: [impure], message: `up called twice gives two values of ${impure}` };
  const back = attempt('down', () => model.down(first.value));
  if ('broken' in back) return back.broken;
  const backAgain = attempt('down', () => model.down(again.value));
  if ('broken' in backAgain) return backAgain.broken;
  const twice = differingColumns(model, back.value, backAgain.value);
  if (twice.length > 0)
    return {
      law: 'down is pure',
      columns: twice,
      message: `down called twice gives two values of ${twice.join(', ')}`,
    };
  const lost = differingColumns(model, old, back.value);
  if (lost.length > 0)
    return { law: 'down(up(old)) is old', columns: lost, message: `comes back otherwise: ${lost.join(', ')}` };
  if (sqlState === undefined) return undefined;
  const other = stateDifference(model, first.value, sqlState);
  if (other === undefined) return undefined;
  return { law: 'sql.up is up', columns: [other], message: `sql.up and up differ in ${other}` };
}

type Attempt<T> = { readonly value: T } | { readonly broken: Broken };

function attempt<T>(name: string, work: () => T): Attempt<T> {
  try {
    return { value: work() };
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    return { broken: { law: `${name} takes every row`, columns: [], message: `${name} threw: ${message}` } };
  }
}

function differingColumns(model: Model, a: Row, b: Row): readonly string[] {
  const known = Object.keys(model.from.columns).filter((name) => valueText(a[name]) !== valueText(b[name]));
  const unknown = Object.keys(b).filter((name) => !(name in model.from.columns));
  return [...known, ...unknown];
}

/** The first table and column in which two states differ; rows of a list are told apart by their ids. */
export function stateDifference(model: Model, a: State, b: State): string | undefined {
  for (const [as, table] of Object.entries(model.to)) {
    const sorted = (state: State): readonly Row[] =>
      [...(state[as] ?? [])].sort((x, y) => (key(x, table.id) < key(y, table.id) ? -1 : 1));
    const [rowsA, rowsB] = [sorted(a), sorted(b)];
    if (rowsA.length !== rowsB.length) return `${as} (${rowsA.length} and ${rowsB.length} rows)`;
    for (const [at, row] of rowsA.entries()) {
      const column = Object.keys(table.columns).find((name) => valueText(row[name]) !== valueText(rowsB[at]?.[name]));
      if (column !== undefined) return `${as}.${column}`;
    }
  }
  return undefined;
}

function key(row: Row, id: string | undefined): string {
  return id === undefined ? '' : valueText(row[id]);
}
