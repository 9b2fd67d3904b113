import { GodwitError } from '../errors.ts';
import { childId, childIdFrom, childIdPrefix } from './child-id.ts';
import type { Columns, Row, RowOf } from './column.ts';
import { readOverflow, writeOverflow } from './overflow.ts';

/** Where old and new tables live. Both are in one database, so that one transaction covers them. */
export type StoreKind = 'postgres' | 'mongodb';

/** A table of the old or of the new model. */
export interface Table<C extends Columns = Columns, Many extends boolean = boolean, Id extends string = string> {
  readonly store: StoreKind;
  /** `name`, or `schema.name`. */
  readonly name: string;
  readonly columns: C;
  /** Several rows of an identity, instead of exactly one. */
  readonly isMany: Many;
  /** Property that tells the rows of one identity apart; only where there may be several. */
  readonly id: Id | undefined;
}

/** A table in PostgreSQL. `many` makes it a list: several rows of an identity, told apart by the property `id`. */
export function pgTable<C extends Columns>(name: string, columns: C): Table<C, false>;
export function pgTable<C extends Columns>(
  name: string,
  columns: C,
  options: { readonly many: true; readonly id?: undefined },
): Table<C, true, 'id' & keyof C>;
export function pgTable<C extends Columns, const Id extends keyof C & string>(
  name: string,
  columns: C,
  options: { readonly many: true; readonly id: Id },
): Table<C, true, Id>;
export function pgTable(name: string, columns: Columns, options?: { many: true; id?: string }): Table {
  return makeTable('postgres', name, columns, options);
}

/** A collection in MongoDB; columns of embedded documents are named by their dotted path. */
export function mongoCollection<C extends Columns>(name: string, columns: C): Table<C, false>;
export function mongoCollection<C extends Columns>(
  name: string,
  columns: C,
  options: { readonly many: true; readonly id?: undefined },
): Table<C, true, 'id' & keyof C>;
export function mongoCollection<C extends Columns, const Id extends keyof C & string>(
  name: string,
  columns: C,
  options: { readonly many: true; readonly id: Id },
): Table<C, true, Id>;
export function mongoCollection(name: string, columns: Columns, options?: { many: true; id?: string }): Table {
  return makeTable('mongodb', name, columns, options);
}

function makeTable(store: StoreKind, name: string, columns: Columns, options?: { many: true; id?: string }): Table {
  return { store, name, columns, isMany: options !== undefined, id: options ? (options.id ?? 'id') : undefined };
}

/** The new tables by the name that `up` and `down` use for them. */
export type NewTables = Readonly<Record<string, Table>>;

type ChildRow<T extends Table> =
  T extends Table<infer C, true, infer Id> ? Omit<RowOf<C>, Id> & Partial<Pick<RowOf<C>, Id & keyof C>> : never;

/** What `up` makes of an old row. Ids of rows in lists may be left out: they are derived, the same ones each time. */
export type UpResult<N extends NewTables> = {
  [K in keyof N]: N[K] extends Table<infer C, false> ? RowOf<C> : readonly ChildRow<N[K]>[];
};

/** What `down` is given: the rows of one identity. */
export type DownInput<N extends NewTables> = {
  [K in keyof N]: N[K] extends Table<infer C, false> ? RowOf<C> : readonly RowOf<N[K]['columns']>[];
};

type ListNames<N extends NewTables> = { [K in keyof N]: N[K] extends Table<Columns, true> ? K : never }[keyof N] &
  string;

/**
 * What becomes of rows that the old model cannot hold.
 * - `block`: the write that would make them is refused (GW5005).
 * - `pick`: the old table shows the chosen one; the others are counted as lossy.
 * - `overflow`: the old table shows the chosen one and keeps the others as JSON in `column`: nothing is lost.
 */
export type Inverse<N extends NewTables = NewTables, From extends Columns = Columns> =
  | { readonly policy: 'block'; readonly list?: ListNames<N> }
  | {
      readonly policy: 'pick';
      readonly list?: ListNames<N>;
      /** Of several rows, the one that the old table shows. */
      readonly choose: (rows: readonly Row[]) => Row;
    }
  | {
      readonly policy: 'overflow';
      readonly list?: ListNames<N>;
      readonly choose: (rows: readonly Row[]) => Row;
      /** A nullable `json` column of the old table. */
      readonly column: keyof From & string;
    };

/** A remodel as the application writes it down. */
export interface Definition<
  From extends Columns,
  N extends NewTables,
  Key extends keyof From & string = keyof From & string,
> {
  /** Lower case letters, digits and hyphens; names the remodel for ever. */
  readonly name: string;
  /** Property that holds the identity, in the old table and in every new one. */
  readonly key: Key;
  readonly from: Table<From, false>;
  /** Exactly one of them has one row per identity: the root, whose row is the mark of ownership. */
  readonly to: N;
  /** An old row in the new model. Pure: the same row gives the same result. */
  readonly up: (old: RowOf<From>) => UpResult<N>;
  /** The way back. `down(up(old))` must be `old`; `godwit remodel check` tries to refute it. */
  readonly down: (state: DownInput<N>) => RowOf<From>;
  readonly inverse: Inverse<N, From>;
  /** The same transform as SQL, for the fast lane; checked against `up` and `down`. */
  readonly sql?: SqlTransform;
}

/** Transforms as SELECT statements, each giving the columns of its table by their stored names. */
export interface SqlTransform {
  /** By new table: a SELECT over `old`, which stands for the old rows that are to be copied. */
  readonly up: Readonly<Record<string, string>>;
}

/** Everything of one identity in the new model: rows by new table; the root has exactly one. */
export type State = Readonly<Record<string, readonly Row[]>>;

/** A definition made ready: what the library, the commands and the stores work with. */
export interface Model {
  readonly name: string;
  readonly store: StoreKind;
  readonly key: string;
  readonly from: Table;
  readonly to: NewTables;
  /** Name of the root in `to`. */
  readonly root: string;
  /** Names of the lists in `to`. */
  readonly lists: readonly string[];
  readonly inverse: Inverse;
  readonly sql: SqlTransform | undefined;
  /** An old row in the new model, with every derived id filled in. */
  up(old: Row): State;
  /** The old row of a state, by the inverse policy; the order of rows in a list makes no difference. */
  down(state: State): Row;
  /** Whether the old model cannot hold all of a state: what `down` leaves out cannot come back. */
  isLossy(state: State): boolean;
}

/**
 * Checks a definition and makes it ready.
 * @throws GodwitError GW1006 that names what is wrong.
 */
export function defineMigration<
  From extends Columns,
  const N extends NewTables,
  const Key extends keyof From & string = keyof From & string,
>(definition: Definition<From, N, Key>): Model & { readonly definition: Definition<From, N, Key> } {
  const { name, key, from, to, inverse } = definition;
  const wrong = (what: string): GodwitError => new GodwitError('GW1006', `Remodel ${name}: ${what}`);
  if (!/^[a-z][a-z0-9-]{0,47}$/.test(name))
    throw wrong('the name must be 1 to 48 lower case letters, digits and hyphens, a letter first');
  const tables = Object.entries(to);
  const roots = tables.filter(([, table]) => !table.isMany).map(([as]) => as);
  const lists = tables.filter(([, table]) => table.isMany).map(([as]) => as);
  if (roots.length !== 1)
    throw wrong(`exactly one new table has one row per identity, not ${roots.length} (${roots.join(', ') || 'none'})`);
  const root = roots[0] as string;
  for (const [as, table] of [['from', from] as const, ...tables]) {
    if (table.store !== from.store) throw wrong(`${as} is in ${table.store}, the old table in ${from.store}`);
    if (!(key in table.columns)) throw wrong(`${as} (${table.name}) has no property ${key}, which is the key`);
    if (table.columns[key]?.isNullable) throw wrong(`the key ${key} of ${as} may not be nullable`);
    if (table.columns[key]?.type !== from.columns[key]?.type) throw wrong(`the key ${key} of ${as} has another type`);
    if (table.isMany && !((table.id as string) in table.columns))
      throw wrong(`${as} is a list and has no property ${table.id} to tell its rows apart`);
    if (table !== from && table.name === from.name) throw wrong(`${as} has the name of the old table`);
  }
  const list = listOf(inverse, lists, wrong);
  const parts = tables.map(([as, table]) => partOf(name, as, table, as === root));
  if (inverse.policy === 'overflow') {
    const column = from.columns[inverse.column];
    if (column?.type !== 'json' || !column.isNullable)
      throw wrong(`overflow needs a nullable json column in the old table; ${inverse.column} is none`);
  }
  return {
    name,
    store: from.store,
    key,
    from: from as unknown as Table,
    to,
    root,
    lists,
    inverse: inverse as unknown as Inverse,
    sql: definition.sql,
    definition,
    up: (old) => makeState(definition as unknown as AnyDefinition, parts, list, old),
    down: (state) => makeOld(definition as unknown as AnyDefinition, root, list, state),
    isLossy: (state) => inverse.policy !== 'overflow' && list !== undefined && (state[list]?.length ?? 0) > 1,
  };
}

type AnyDefinition = Definition<Columns, NewTables>;

/** The list that the inverse policy is about: named, or the only one. */
function listOf(
  inverse: { readonly list?: string },
  lists: readonly string[],
  wrong: (what: string) => GodwitError,
): string | undefined {
  if (inverse.list !== undefined) {
    if (!lists.includes(inverse.list)) throw wrong(`inverse.list names ${inverse.list}, which is no list`);
    return inverse.list;
  }
  if (lists.length > 1) throw wrong(`inverse.list must say which of ${lists.join(', ')} the policy is about`);
  return lists[0];
}

/** A new table, with what is asked of it for every row ready to hand. */
interface Part {
  readonly as: string;
  readonly isRoot: boolean;
  readonly table: Table;
  readonly columns: readonly {
    readonly property: string;
    readonly isNullable: boolean;
    readonly isDerivable: boolean;
  }[];
  readonly idPrefix: string;
}

function partOf(remodel: string, as: string, table: Table, isRoot: boolean): Part {
  const columns = Object.entries(table.columns).map(([property, { type, isNullable }]) => ({
    property,
    isNullable,
    isDerivable: property === table.id && (type === 'uuid' || type === 'text'),
  }));
  return { as, isRoot, table, columns, idPrefix: childIdPrefix(remodel, as) };
}

function makeState(definition: AnyDefinition, parts: readonly Part[], list: string | undefined, old: Row): State {
  const { name, key, to, inverse } = definition;
  const made = definition.up(old as RowOf<Columns>) as Record<string, Row | readonly Row[]>;
  const identity = old[key] as Row[string];
  const state: Record<string, readonly Row[]> = {};
  for (const part of parts) {
    const value = made[part.as];
    if (value === undefined) throw new GodwitError('GW5006', `Remodel ${name}: up gave nothing for ${part.as}`);
    state[part.as] = part.isRoot
      ? [complete(definition, part, identity, value as Row, 0)]
      : (value as readonly Row[]).map((row, slot) => complete(definition, part, identity, row, slot));
  }
  if (inverse.policy !== 'overflow' || list === undefined) return state;
  const kept = old[inverse.column];
  if (kept === null || kept === undefined) return state;
  const { shown, others } = readOverflow(kept as string, (to[list] as Table).columns);
  const [first, ...more] = state[list] ?? [];
  const id = (to[list] as Table).id as string;
  const head = first === undefined ? [] : [shown === null ? first : { ...first, [id]: shown }];
  return { ...state, [list]: [...head, ...more, ...others] };
}

/** A row of `up` with every column set; what may be derived is derived, anything else that lacks is an error. */
function complete({ name, key }: AnyDefinition, part: Part, identity: Row[string], row: Row, slot: number): Row {
  const out: Row = {};
  let given = 0;
  for (const { property, isNullable, isDerivable } of part.columns) {
    const value = row[property];
    if (value !== undefined) {
      out[property] = value;
      given += 1;
    } else if (property === key) out[property] = identity;
    else if (isDerivable) out[property] = childIdFrom(part.idPrefix, String(identity), slot);
    else if (isNullable) out[property] = null;
    else throw new GodwitError('GW5006', `Remodel ${name}: up gave no ${property} for ${part.as}`);
  }
  for (const property in row) if (row[property] !== undefined) given -= 1;
  if (given !== 0) refuseUnknown(name, part, row);
  return out;
}

function refuseUnknown(name: string, { as, table }: Part, row: Row): void {
  for (const property of Object.keys(row)) {
    if (!(property in table.columns))
      throw new GodwitError('GW5006', `Remodel ${name}: up gave ${property} for ${as}, which has no such column`);
  }
}

function makeOld(definition: AnyDefinition, root: string, list: string | undefined, state: State): Row {
  const { name, to, inverse } = definition;
  const rows = list === undefined ? [] : inOrder(to[list] as Table, state[list] ?? []);
  let shown: Row | undefined = rows[0];
  if (rows.length > 1) {
    if (inverse.policy === 'block')
      throw new GodwitError('GW5005', `Remodel ${name}: ${rows.length} rows in ${list}, and the old table holds one`);
    shown = inverse.choose(rows);
  }
  const input: Record<string, Row | readonly Row[]> = {};
  for (const as of Object.keys(to)) {
    if (as === root) input[as] = state[as]?.[0] as Row;
    else if (as === list) input[as] = shown === undefined ? [] : [shown];
    else input[as] = inOrder(to[as] as Table, state[as] ?? []);
  }
  const old = definition.down(input as DownInput<NewTables>) as Row;
  if (inverse.policy !== 'overflow' || list === undefined) return old;
  const table = to[list] as Table;
  return { ...old, [inverse.column]: writeOverflow(rows, shown, table, (as) => derivedId(definition, list, old, as)) };
}

/** By id: a store gives rows in any order, and the same state must always make the same old row. */
function inOrder(table: Table, rows: readonly Row[]): readonly Row[] {
  if (rows.length < 2) return rows;
  const id = (row: Row): string => String(row[table.id as string]);
  return [...rows].sort((a, b) => (id(a) < id(b) ? -1 : id(a) > id(b) ? 1 : 0));
}

/** The id that `up` would derive for the first row of a list. */
function derivedId(definition: AnyDefinition, list: string, old: Row, slot: number): string {
  return childId(definition.name, list, String(old[definition.key]), slot);
}
