import type { Columns, Definition, Model, NewTables, Row, RowOf, Table } from '../../../kernel/remodel/index.ts';

/** What `defineMigration` gives. */
export type Migration<
  From extends Columns = Columns,
  N extends NewTables = NewTables,
  Key extends keyof From & string = keyof From & string,
> = Model & { readonly definition: Definition<From, N, Key> };

type NullableIn<C extends Columns> = { [K in keyof C]: null extends C[K]['value'] ? K : never }[keyof C];

/** A row without its key, which the library fills in; what may be null, or is in `Optional`, may be left out. */
type Input<C extends Columns, Key extends string, Optional = never> = Omit<
  RowOf<C>,
  Key | NullableIn<C> | (Optional & keyof C)
> &
  Partial<Pick<RowOf<C>, Exclude<NullableIn<C> | (Optional & keyof C), Key>>>;

/** The one row of an identity. */
export interface RootHandle<C extends Columns, Key extends string> {
  /** Undefined when there is no such identity. */
  get(): Promise<RowOf<C> | undefined>;
  /** Changes columns. @throws GodwitError GW5008 when there is no such identity. */
  set(patch: Partial<Omit<RowOf<C>, Key>>): Promise<void>;
}

/** The rows that an identity has in a list. */
export interface ListHandle<C extends Columns, Id extends string, Key extends string> {
  list(): Promise<readonly RowOf<C>[]>;
  /**
   * Adds a row and gives it back whole. The id may be left out where its column
   * is a `uuid` or `text`. A row that has this id already is replaced.
   */
  insert(row: Input<C, Key, Id>): Promise<RowOf<C>>;
  /** Changes columns of a row. @throws GodwitError GW5008 when it is not there. */
  update(id: RowOf<C>[Id & keyof C], patch: Partial<Omit<RowOf<C>, Key | Id>>): Promise<void>;
  /** Gives whether it was there. */
  delete(id: RowOf<C>[Id & keyof C]): Promise<boolean>;
}

type HandleOf<T extends Table, Key extends string> =
  T extends Table<infer C, false>
    ? RootHandle<C, Key>
    : T extends Table<infer C, true, infer Id>
      ? ListHandle<C, Id, Key>
      : never;

type RootRow<N extends NewTables, Key extends string> = {
  [K in keyof N]: N[K] extends Table<infer C, false> ? Input<C, Key> : never;
}[keyof N];

/** One identity in the new model, inside the application's transaction. */
export type DraftOf<N extends NewTables, Key extends string> = {
  readonly [K in keyof N]: HandleOf<N[K], Key>;
} & {
  /** Makes an identity that is nowhere, or was deleted. @throws GodwitError GW5008 when it is there. */
  create(row: RootRow<N, Key>): Promise<void>;
  /** Deletes the identity with all its rows. Gives whether it was there. */
  delete(): Promise<boolean>;
};

/** The same of a migration, for functions of the application that take one: `Draft<typeof subs>`. */
export type Draft<M> = M extends { readonly definition: Definition<infer _From, infer N, infer Key> }
  ? DraftOf<N, Key>
  : never;

/** A write as operations of the new model, carried out on whichever model owns the identity. */
export type Work<N extends NewTables, Key extends string, R> = (m: DraftOf<N, Key>) => R | Promise<R>;

/** A write for which the application has statements of its own for the old table. */
export interface TwoWays<N extends NewTables, Key extends string, R> {
  /** Writes the old row of this identity (only), in the same transaction; called while the old model owns it. */
  readonly old: () => R | Promise<R>;
  readonly new: Work<N, Key, R>;
}

export interface ReadContext {
  /** Set when nobody waits for the answer any more: only ever for reads in the shadow. */
  readonly signal: AbortSignal;
}

/** How the application reads an identity from either model; both give the same shape. */
export interface ReadSides<From extends Columns, R> {
  /**
   * Reads the old model. `row` says where from:
   * - `undefined`: read the table.
   * - a row: answer from this; the table does not have it yet.
   * - `null`: it was deleted, though the table may still have it.
   *
   * Outside of a transaction a function without a parameter is also right: the
   * change is then carried to the table first, which takes a transaction longer.
   * (One whose only parameter has a default value counts as one without.)
   */
  readonly old: (row?: RowOf<From> | null, context?: ReadContext) => R | Promise<R>;
  readonly new: (context?: ReadContext) => R | Promise<R>;
}

export interface ReadOptions<Tx, R> {
  /** The transaction that `old` and `new` read in. Such reads are not compared: the transaction ends before. */
  readonly tx?: Tx;
  /** Whether two answers are the same; default: deep equality. */
  readonly compare?: (old: R, fresh: R) => boolean;
  /** Properties that the comparison leaves out, at any depth. */
  readonly ignore?: readonly string[];
  /** What of an answer may be shown in an event. Without it, only the names of what differs are shown. */
  readonly clean?: (answer: R) => unknown;
}

/** Rows as the library handles them once types are gone. */
export type AnyDraft = Readonly<Record<string, unknown>>;
export type AnyWork = (m: AnyDraft) => unknown;
export type AnySides = {
  readonly old: (row?: Row | null, context?: ReadContext) => unknown;
  readonly new: (context?: ReadContext) => unknown;
};
