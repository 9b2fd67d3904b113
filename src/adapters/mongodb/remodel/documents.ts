import type { Db, Document } from 'mongodb';
import type { Column, Model, Row, Table, Value } from '../../../kernel/remodel/index.ts';
import { TableDocuments } from './table-documents.ts';

/** The documents of a model's tables. Made once for each model. */
export interface ModelDocuments {
  readonly model: Model;
  readonly old: TableDocuments;
  readonly new: Readonly<Record<string, TableDocuments>>;
  readonly root: TableDocuments;
  /** Old rows as the outbox remembers them: by `c0`, `c1` …, whatever the properties are called. */
  readonly remembered: Remembered;
}

const cache = new WeakMap<Model, ModelDocuments>();

/** @throws GodwitError GW1006 for paths that cannot be. */
export function documentsOf(model: Model): ModelDocuments {
  const known = cache.get(model);
  if (known !== undefined) return known;
  const byTable = Object.fromEntries(
    Object.entries(model.to).map(([as, table]) => [as, new TableDocuments(model, table)]),
  );
  const made: ModelDocuments = {
    model,
    old: new TableDocuments(model, model.from),
    new: byTable,
    root: byTable[model.root] as TableDocuments,
    remembered: new Remembered(model),
  };
  cache.set(model, made);
  return made;
}

/** Old rows inside of an outbox document. */
export class Remembered {
  readonly #documents: TableDocuments;

  constructor(model: Model) {
    const columns: Record<string, Column<Value, boolean>> = {};
    for (const [index, [property, column]] of Object.entries(model.from.columns).entries())
      columns[property] = column.named(`c${index}`);
    const table: Table = { ...model.from, columns };
    this.#documents = new TableDocuments(model, table);
  }

  /** `{}` stands for no row. */
  encode(row: Row | undefined): Document {
    return row === undefined ? {} : { row: this.#documents.document(row) };
  }

  decode(raw: Buffer): Row {
    return this.#documents.decode(raw);
  }
}

/** Options of every read: bytes, which lose nothing. */
export const RAW = { raw: true } as const;

/** Documents of a read with `raw`, which the driver's types do not know. */
export function rawDocuments(documents: readonly unknown[]): Buffer[] {
  return documents as Buffer[];
}

export function collectionOf(db: Db, documents: TableDocuments) {
  return db.collection(documents.name);
}
