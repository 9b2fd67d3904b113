import { keyOfIdentity, type Model, type Row, type Table, type Value } from '../../../kernel/remodel/index.ts';
import type { Editor } from './editor.ts';
import { checkedId, checkedPatch, misuse, wholeRow } from './rows.ts';
import type { AnyDraft } from './types.ts';

/** What a list may not be called, because the draft has methods of these names. */
export const TAKEN_NAMES: readonly string[] = ['create', 'delete', 'then'];

/**
 * The `m` of a write. Operations are carried out one after the other in the
 * order of the calls, awaited or not; {@link Draft.settled} waits for all of
 * them and throws what any threw.
 */
export class DraftMaker {
  readonly #model: Model;
  readonly #editor: Editor;
  readonly #key: Row;
  #last: Promise<unknown> = Promise.resolve();
  #failure: { readonly error: unknown } | undefined;
  #hasEnded = false;

  constructor(model: Model, identity: string, editor: Editor) {
    this.#model = model;
    this.#editor = editor;
    this.#key = { [model.key]: keyOfIdentity(model, identity) };
  }

  /** Handles by table, and the methods of the identity. */
  make(): AnyDraft {
    const { root, lists } = this.#model;
    return {
      [root]: this.#rootHandle(),
      ...Object.fromEntries(lists.map((list) => [list, this.#listHandle(list)])),
      create: (row: Row) => this.#inTurn(() => this.#create(row)),
      delete: () => this.#inTurn(() => this.#editor.deleteAll()),
    };
  }

  /** Waits for what was begun; afterwards no operation is possible. */
  async settled(): Promise<void> {
    await this.#last;
    this.#hasEnded = true;
    if (this.#failure !== undefined) throw this.#failure.error;
  }

  #rootHandle(): object {
    const { root } = this.#model;
    return {
      get: () => this.#inTurn(() => this.#editor.root()),
      set: (patch: Row) =>
        this.#inTurn(async () => {
          const change = checkedPatch(this.#model, root, patch);
          this.#mustExist();
          if (Object.keys(change).length > 0) await this.#editor.setRoot(change);
        }),
    };
  }

  #listHandle(list: string): object {
    return {
      list: () => this.#inTurn(() => this.#editor.list(list)),
      insert: (row: Row) => this.#inTurn(() => this.#insert(list, row)),
      update: (id: Value, patch: Row) => this.#inTurn(() => this.#update(list, id, patch)),
      delete: (id: Value) => this.#inTurn(() => this.#editor.remove(list, checkedId(this.#model, list, id))),
    };
  }

  async #create(row: Row): Promise<void> {
    const whole = wholeRow(this.#model, this.#model.root, row, this.#key);
    if (this.#editor.exists) throw misuse(this.#model, 'create of an identity that exists');
    await this.#editor.create(whole);
  }

  async #insert(list: string, row: Row): Promise<Row> {
    const table = this.#model.to[list] as Table;
    const id = table.id as string;
    this.#mustExist();
    const type = table.columns[id]?.type;
    const filled = { ...this.#key };
    if ((row[id] ?? null) === null && (type === 'uuid' || type === 'text')) filled[id] = this.#editor.newId(list);
    const whole = wholeRow(this.#model, list, row, filled);
    await this.#editor.put(list, whole);
    return { ...whole };
  }

  async #update(list: string, id: Value, patch: Row): Promise<void> {
    const at = checkedId(this.#model, list, id);
    const change = checkedPatch(this.#model, list, patch);
    this.#mustExist();
    if (Object.keys(change).length === 0) return;
    if (!(await this.#editor.patch(list, at, change)))
      throw misuse(this.#model, `${list} has no such row of this identity`);
  }

  #mustExist(): void {
    if (!this.#editor.exists)
      throw misuse(this.#model, 'the identity does not exist, or was deleted: `create` it first');
  }

  /** After a failure nothing more is done: the transaction is to be rolled back. */
  #inTurn<T>(operation: () => Promise<T>): Promise<T> {
    if (this.#hasEnded)
      return Promise.reject(misuse(this.#model, 'an operation after its write had ended: await it, or return it'));
    const turn = this.#last.then(() => {
      if (this.#failure !== undefined) throw this.#failure.error;
      return operation();
    });
    this.#last = turn.catch((error: unknown) => {
      this.#failure ??= { error };
    });
    return turn;
  }
}
