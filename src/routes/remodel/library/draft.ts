import {
  type FirstWrite,
  keyOfIdentity,
  type Model,
  type Row,
  type Table,
  type Value,
} from '../../../kernel/remodel/index.ts';
import { blockedList } from './blocked.ts';
import type { Editor } from './editor.ts';
import { freshId } from './row-id.ts';
import { checkedId, checkedPatch, misuse, wholeRow } from './rows.ts';
import type { AnyDraft } from './types.ts';

/** What a list may not be called, because the draft has methods of these names. */
export const TAKEN_NAMES: readonly string[] = ['create', 'delete', 'then'];

/** Locks the identity and gives its editor; may carry out the first operation on the way. */
export type Open = (first: FirstWrite | undefined) => Promise<{ readonly editor: Editor; readonly didFirst: boolean }>;

/** The first operation as the store understands it, and what it answers. */
interface First<T> {
  readonly write: FirstWrite;
  readonly answer: T;
}

/**
 * The `m` of a write. The identity is locked with the first operation, in one
 * round trip with it where that is a change. Operations are carried out one after the other in the
 * order of the calls, awaited or not; {@link Draft.settled} waits for all of
 * them and throws what any threw.
 */
export class DraftMaker {
  readonly #model: Model;
  readonly #open: Open;
  readonly #key: Row;
  #editor: Editor | undefined;
  #last: Promise<unknown> = Promise.resolve();
  #failure: { readonly error: unknown } | undefined;
  #hasEnded = false;

  constructor(model: Model, identity: string, open: Open) {
    this.#model = model;
    this.#open = open;
    this.#key = { [model.key]: keyOfIdentity(model, identity) };
  }

  /** Handles by table, and the methods of the identity. */
  make(): AnyDraft {
    const { root, lists } = this.#model;
    return {
      [root]: this.#rootHandle(),
      ...Object.fromEntries(lists.map((list) => [list, this.#listHandle(list)])),
      create: (row: Row) => this.#inTurn((editor) => this.#create(editor, row)),
      delete: () => this.#inTurn((editor) => editor.deleteAll()),
    };
  }

  /** Waits for what was begun; afterwards no operation is possible. Gives the editor that did it. */
  async settled(): Promise<Editor> {
    await this.#last;
    this.#hasEnded = true;
    if (this.#failure !== undefined) throw this.#failure.error;
    // A write without an operation locks and adopts all the same.
    this.#editor ??= (await this.#open(undefined)).editor;
    return this.#editor;
  }

  /** Waits for what was begun, whatever became of it: the application is about to roll back. */
  async abandoned(): Promise<void> {
    await this.#last;
    this.#hasEnded = true;
  }

  #rootHandle(): object {
    const { root } = this.#model;
    return {
      get: () => this.#inTurn((editor) => editor.root()),
      set: (patch: Row) => {
        const change = () => checkedPatch(this.#model, root, patch);
        return this.#inTurn(
          async (editor) => {
            const checked = change();
            this.#mustExist(editor);
            if (Object.keys(checked).length > 0) await editor.setRoot(checked);
          },
          () => this.#patchFirst(root, undefined, change()),
        );
      },
    };
  }

  #listHandle(list: string): object {
    return {
      list: () => this.#inTurn((editor) => editor.list(list)),
      insert: (row: Row) =>
        this.#inTurn(
          (editor) => this.#insert(editor, list, row),
          () => this.#insertFirst(list, row),
        ),
      update: (id: Value, patch: Row) =>
        this.#inTurn(
          (editor) => this.#update(editor, list, id, patch),
          () => this.#patchFirst(list, checkedId(this.#model, list, id), checkedPatch(this.#model, list, patch)),
        ),
      delete: (id: Value) =>
        this.#inTurn(
          (editor) => editor.remove(list, checkedId(this.#model, list, id)),
          () => ({ write: { kind: 'remove', table: list, id: checkedId(this.#model, list, id) }, answer: true }),
        ),
    };
  }

  #patchFirst(table: string, id: Value | undefined, patch: Row): First<undefined> | undefined {
    if (Object.keys(patch).length === 0) return undefined;
    return { write: { kind: 'patch', table, id, patch }, answer: undefined };
  }

  #insertFirst(list: string, row: Row): First<Row> | undefined {
    // Rows of this list are counted afterwards, by the editor that put them.
    if (this.#model.inverse.policy === 'block' && list === blockedList(this.#model)) return undefined;
    // A row that came with its id may be there, and is replaced then.
    if ((row[(this.#model.to[list] as Table).id as string] ?? null) !== null) return undefined;
    const whole = this.#wholeRow(list, row, freshId);
    return { write: { kind: 'insert', table: list, row: whole }, answer: { ...whole } };
  }

  #wholeRow(list: string, row: Row, newId: () => Value): Row {
    const table = this.#model.to[list] as Table;
    const id = table.id as string;
    const type = table.columns[id]?.type;
    const filled = { ...this.#key };
    if ((row[id] ?? null) === null && (type === 'uuid' || type === 'text')) filled[id] = newId();
    return wholeRow(this.#model, list, row, filled);
  }

  async #create(editor: Editor, row: Row): Promise<void> {
    const whole = wholeRow(this.#model, this.#model.root, row, this.#key);
    if (editor.exists) throw misuse(this.#model, 'create of an identity that exists');
    await editor.create(whole);
  }

  async #insert(editor: Editor, list: string, row: Row): Promise<Row> {
    this.#mustExist(editor);
    const whole = this.#wholeRow(list, row, () => editor.newId(list));
    await editor.put(list, whole);
    return { ...whole };
  }

  async #update(editor: Editor, list: string, id: Value, patch: Row): Promise<void> {
    const at = checkedId(this.#model, list, id);
    const change = checkedPatch(this.#model, list, patch);
    this.#mustExist(editor);
    if (Object.keys(change).length === 0) return;
    if (!(await editor.patch(list, at, change))) throw misuse(this.#model, `${list} has no such row of this identity`);
  }

  #mustExist(editor: Editor): void {
    if (!editor.exists) throw misuse(this.#model, 'the identity does not exist, or was deleted: `create` it first');
  }

  /** After a failure nothing more is done: the transaction is to be rolled back. */
  #inTurn<T>(operation: (editor: Editor) => Promise<T>, first?: () => First<T> | undefined): Promise<T> {
    if (this.#hasEnded)
      return Promise.reject(misuse(this.#model, 'an operation after its write had ended: await it, or return it'));
    const turn = this.#last.then(async () => {
      if (this.#failure !== undefined) throw this.#failure.error;
      if (this.#editor === undefined) {
        const begin = first?.();
        const { editor, didFirst } = await this.#open(begin?.write);
        this.#editor = editor;
        if (begin && didFirst) return begin.answer;
      }
      return operation(this.#editor);
    });
    this.#last = turn.catch((error: unknown) => {
      this.#failure ??= { error };
    });
    return turn;
  }
}
