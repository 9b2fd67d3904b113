import { invariant } from '../../../kernel/errors.ts';
import type { Control, Entered, Model, Owner, RemodelStore } from '../../../kernel/remodel/index.ts';
import { DraftMaker } from './draft.ts';
import type { Editor } from './editor.ts';
import { MemoryEditor } from './memory-editor.ts';
import { StoredEditor } from './stored-editor.ts';
import type { AnyWork } from './types.ts';

export interface WriteRequest<Tx> {
  readonly store: RemodelStore<Tx>;
  readonly model: Model;
  readonly identity: string;
  readonly tx: Tx;
  readonly work: AnyWork;
  /** Statements of the application's own for the old table. */
  readonly legacy: (() => unknown) | undefined;
  readonly control: Control | undefined;
}

export interface Written {
  readonly answer: unknown;
  readonly owner: Owner;
  /** Whether this write moved the identity from the old model to the new one. */
  readonly hasAdopted: boolean;
}

/**
 * One write, on whichever model owns the identity. In the steady state (the
 * new model owns it) the first change takes the lock on its way: no round trip
 * more than the statements themselves. With the policy `block`, or when the
 * first operation is a read, it is one more.
 */
export async function carryOut<Tx>(request: WriteRequest<Tx>): Promise<Written> {
  const { store, model, identity, tx, legacy } = request;
  const found: { entered?: Entered; hasAdopted?: boolean } = {};
  if (legacy !== undefined) {
    found.entered = await store.enter(model, tx, identity);
    if (found.entered.owner === 'old') {
      await found.entered.allowOld();
      return { answer: await legacy(), owner: 'old', hasAdopted: false };
    }
  }
  const draft = new DraftMaker(model, identity, async (first) => {
    found.entered ??= await store.enter(model, tx, identity, first);
    const { editor, hasAdopted } = await editorFor(request, found.entered);
    found.hasAdopted = hasAdopted;
    return { editor, didFirst: found.entered.didFirst === true };
  });
  const answer = await runWork(draft, request.work);
  const movedLate = await (await draft.settled()).finish();
  invariant(found.entered, 'A settled draft has entered its identity');
  return { answer, owner: found.entered.owner, hasAdopted: found.hasAdopted === true || movedLate };
}

async function runWork(draft: DraftMaker, work: AnyWork): Promise<unknown> {
  let answer: unknown;
  try {
    answer = await work(draft.make());
  } catch (error) {
    // What was begun ends before the application rolls back; what it threw is the same failure, or the cause of it.
    await draft.abandoned();
    throw error;
  }
  await draft.settled();
  return answer;
}

async function editorFor<Tx>(
  request: WriteRequest<Tx>,
  entered: Entered,
): Promise<{ readonly editor: Editor; readonly hasAdopted: boolean }> {
  const { model, identity, control, legacy } = request;
  const mustCount = legacy !== undefined;
  const stored = (exists: boolean) => new StoredEditor(model, entered, { exists, mustCount });
  if (entered.owner === 'new') return { editor: stored(true), hasAdopted: false };
  if (entered.owner === 'deleted') return { editor: stored(false), hasAdopted: false };
  const old = await entered.readOld();
  if (entered.owner === 'old') {
    const mayAdopt = control !== undefined && control.phase !== 'draft' && control.phase !== 'created';
    return { editor: new MemoryEditor({ model, identity, entered, old, mayAdopt }), hasAdopted: false };
  }
  if (old === undefined) return { editor: stored(false), hasAdopted: false };
  await entered.adopt(model.up(old));
  return { editor: stored(true), hasAdopted: true };
}
