import type { Entered, Model, Row, State, Value } from '../../../kernel/remodel/index.ts';
import { blockedList, refuseMany } from './blocked.ts';
import type { Editor } from './editor.ts';
import { freshId } from './row-id.ts';

/**
 * For an identity that the new model owns, or that is made in it: every
 * operation is a statement on the new tables, at once.
 */
export class StoredEditor implements Editor {
  readonly #model: Model;
  readonly #entered: Entered;
  #exists: boolean;
  /** Whether the list of the policy may have grown. */
  #mustCount: boolean;

  /** `mustCount`: statements of the application's own may have added rows. */
  constructor(model: Model, entered: Entered, options: { readonly exists: boolean; readonly mustCount: boolean }) {
    this.#model = model;
    this.#entered = entered;
    this.#exists = options.exists;
    this.#mustCount = options.mustCount;
  }

  get exists(): boolean {
    return this.#exists;
  }

  async root(): Promise<Row | undefined> {
    return (await this.#state())?.[this.#model.root]?.[0];
  }

  async create(row: Row): Promise<void> {
    const empty = Object.fromEntries(this.#model.lists.map((list) => [list, []]));
    await this.#entered.adopt({ ...empty, [this.#model.root]: [row] });
    this.#exists = true;
  }

  async setRoot(patch: Row): Promise<void> {
    await this.#entered.patchNew(this.#model.root, undefined, patch);
  }

  async list(list: string): Promise<readonly Row[]> {
    return (await this.#state())?.[list] ?? [];
  }

  newId(): Value {
    return freshId();
  }

  async put(list: string, row: Row): Promise<void> {
    if (list === blockedList(this.#model)) this.#mustCount = true;
    await this.#entered.putNew(list, [row]);
  }

  patch(list: string, id: Value, patch: Row): Promise<boolean> {
    return this.#entered.patchNew(list, id, patch);
  }

  remove(list: string, id: Value): Promise<boolean> {
    return this.#entered.removeNew(list, id);
  }

  async deleteAll(): Promise<boolean> {
    if (!this.#exists) return false;
    await this.#entered.deleteNew();
    this.#exists = false;
    return true;
  }

  async finish(): Promise<boolean> {
    const list = blockedList(this.#model);
    if (this.#mustCount && this.#exists && list !== undefined && this.#model.inverse.policy === 'block')
      refuseMany(this.#model, await this.#entered.countNew(list));
    return false;
  }

  async #state(): Promise<State | undefined> {
    return this.#exists ? this.#entered.readNew() : undefined;
  }
}
