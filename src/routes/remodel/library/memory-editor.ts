import { isDeepStrictEqual } from 'node:util';
import { GodwitError } from '../../../kernel/errors.ts';
import {
  childId,
  type Entered,
  type Model,
  type Row,
  type State,
  type Table,
  type Value,
} from '../../../kernel/remodel/index.ts';
import { blockedList, refuseMany } from './blocked.ts';
import type { Editor } from './editor.ts';
import { freshId } from './row-id.ts';

export interface MemoryEditorOptions {
  readonly model: Model;
  readonly identity: string;
  readonly entered: Entered;
  /** The old row, which the old model owns. */
  readonly old: Row | undefined;
  /** Whether what the old model cannot hold may go to the new one, in spite of the ramp. */
  readonly mayAdopt: boolean;
}

/**
 * For an identity that stays in the old model: operations change its state in
 * memory, and `finish` writes it as an old row. A state that the old model
 * cannot hold is not cut down: the new model becomes its owner.
 */
export class MemoryEditor implements Editor {
  readonly #options: MemoryEditorOptions;
  readonly #model: Model;
  readonly #before: State | undefined;
  #state: Record<string, readonly Row[]> | undefined;

  constructor(options: MemoryEditorOptions) {
    this.#options = options;
    this.#model = options.model;
    this.#before = options.old === undefined ? undefined : options.model.up(options.old);
    this.#state = this.#before === undefined ? undefined : { ...this.#before };
  }

  get exists(): boolean {
    return this.#state !== undefined;
  }

  async root(): Promise<Row | undefined> {
    const row = this.#state?.[this.#model.root]?.[0];
    return row === undefined ? undefined : { ...row };
  }

  async create(row: Row): Promise<void> {
    this.#state = { ...Object.fromEntries(this.#model.lists.map((list) => [list, []])), [this.#model.root]: [row] };
  }

  async setRoot(patch: Row): Promise<void> {
    const { root } = this.#model;
    const state = this.#there();
    state[root] = [{ ...(state[root]?.[0] as Row), ...patch }];
  }

  async list(list: string): Promise<readonly Row[]> {
    return (this.#state?.[list] ?? []).map((row) => ({ ...row }));
  }

  /**
   * The id that `up` will derive for the next row, so that it still has it when
   * it is read back from the old model; a fresh one where that is taken, and
   * where the old row keeps ids.
   */
  newId(list: string): Value {
    const rows = this.#state?.[list] ?? [];
    const derived = childId(this.#model.name, list, this.#options.identity, rows.length);
    const isTaken = rows.some((row) => row[this.#idOf(list)] === derived);
    return isTaken || (rows.length > 0 && list === blockedList(this.#model)) ? freshId() : derived;
  }

  async put(list: string, row: Row): Promise<void> {
    const state = this.#there();
    const id = this.#idOf(list);
    const rows = state[list] ?? [];
    const at = rows.findIndex((each) => each[id] === row[id]);
    state[list] = at < 0 ? [...rows, row] : rows.with(at, row);
  }

  async patch(list: string, id: Value, patch: Row): Promise<boolean> {
    const rows = this.#state?.[list] ?? [];
    const at = rows.findIndex((row) => row[this.#idOf(list)] === id);
    if (at >= 0) this.#there()[list] = rows.with(at, { ...(rows[at] as Row), ...patch });
    return at >= 0;
  }

  async remove(list: string, id: Value): Promise<boolean> {
    const rows = this.#state?.[list] ?? [];
    const left = rows.filter((row) => row[this.#idOf(list)] !== id);
    if (left.length < rows.length) this.#there()[list] = left;
    return left.length < rows.length;
  }

  async deleteAll(): Promise<boolean> {
    const was = this.#state !== undefined;
    this.#state = undefined;
    return was;
  }

  async finish(): Promise<boolean> {
    const { entered, mayAdopt } = this.#options;
    const state = this.#state;
    if (sameState(this.#model, this.#before, state)) return false;
    if (state === undefined) return this.#putOld(undefined);
    refuseMany(this.#model, state[blockedList(this.#model) ?? '']?.length ?? 0);
    if (this.#holds(state)) return this.#putOld(this.#model.down(state));
    if (!mayAdopt)
      throw new GodwitError(
        'GW5005',
        `Remodel ${this.#model.name}: the old table cannot hold this write, and the new ones are not in use yet`,
      );
    await entered.adopt(state);
    return true;
  }

  async #putOld(row: Row | undefined): Promise<boolean> {
    await this.#options.entered.putOld(row);
    return false;
  }

  /** Whether the old row gives back all of the state. */
  #holds(state: State): boolean {
    return !this.#model.isLossy(state) && sameState(this.#model, this.#model.up(this.#model.down(state)), state);
  }

  #there(): Record<string, readonly Row[]> {
    if (this.#state === undefined) throw new GodwitError('GW9001', 'an operation on an identity that does not exist');
    return this.#state;
  }

  #idOf(list: string): string {
    return (this.#model.to[list] as Table).id as string;
  }
}

/** Equal rows, in any order. */
function sameState(model: Model, a: State | undefined, b: State | undefined): boolean {
  if (a === undefined || b === undefined) return a === b;
  return Object.entries(model.to).every(([as, table]) => {
    const byId = (rows: readonly Row[] = []) =>
      new Map(rows.map((row) => [table.isMany ? row[table.id as string] : 0, row]));
    return isDeepStrictEqual(byId(a[as]), byId(b[as]));
  });
}
