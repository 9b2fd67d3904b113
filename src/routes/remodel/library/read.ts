import { setTimeout as sleep } from 'node:timers/promises';
import { GodwitError } from '../../../kernel/errors.ts';
import {
  BUCKETS,
  bucketOf,
  type Control,
  type Identity,
  type Model,
  type RemodelStore,
  type Row,
  type State,
} from '../../../kernel/remodel/index.ts';
import type { AnySides } from './types.ts';

/** How long a read without a parameter waits for a change to be carried to the old table. */
const CARRY_WITHIN_MS = 2_000;

/** Whether an identity is read from the new model. */
export function readsNew(control: Control | undefined, model: Model, identity: Identity): boolean {
  if (control === undefined) return false;
  const { phase, reads } = control;
  if (phase === 'new-only' || phase === 'trapped' || phase === 'retired' || reads >= BUCKETS) return true;
  return reads > 0 && bucketOf(model.name, identity) < reads;
}

/** The old row that a state stands for; null when it says that the identity was deleted. */
export function oldRowOf(model: Model, state: State): Row | null {
  return (state[model.root]?.length ?? 0) === 0 ? null : model.down(state);
}

export interface OldRead<Tx> {
  readonly store: RemodelStore<Tx>;
  readonly model: Model;
  readonly identity: Identity;
  readonly tx: Tx | undefined;
  readonly sides: AnySides;
}

/**
 * A read of the old model that never goes back in time: while a change of the
 * identity is on its way, the answer is made from the new rows, or the change
 * is carried to the old table first.
 */
export async function readOld<Tx>(read: OldRead<Tx>): Promise<{ answer: unknown; wasPending: boolean }> {
  const { store, model, identity, tx, sides } = read;
  const state = await store.pendingState(model, tx, identity);
  if (state === undefined) return { answer: await sides.old(undefined), wasPending: false };
  if (sides.old.length === 0) await carry(read);
  const row = sides.old.length === 0 ? undefined : oldRowOf(model, state);
  return { answer: await sides.old(row), wasPending: true };
}

/**
 * Brings the old row up to date, for an `old` that can only read the table.
 * Never inside a transaction of the application: one that has written the
 * identity holds its lock, and the relay would wait for it for ever.
 */
async function carry<Tx>({ store, model, identity }: OldRead<Tx>): Promise<void> {
  const until = performance.now() + CARRY_WITHIN_MS;
  for (let waitMs = 2; ; waitMs = Math.min(50, waitMs * 2)) {
    const { applied } = await store.relay(model, 1, [identity]);
    if (applied > 0 || (await store.pendingState(model, undefined, identity)) === undefined) return;
    if (performance.now() > until) break;
    await sleep(waitMs);
  }
  throw new GodwitError(
    'GW3003',
    `Remodel ${model.name}: a change was not carried to the old table in ${CARRY_WITHIN_MS} ms; give \`old\` a parameter, the row to answer from`,
  );
}
