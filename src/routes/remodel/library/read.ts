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
import type { ControlWatch } from '../process/index.ts';
import type { AnySides } from './types.ts';

/** How long a read without a parameter waits for a change to be carried to the old table. */
const CARRY_WITHIN_MS = 2_000;

/** Whether an identity is read from the new model. */
function readsNew(control: Control | undefined, model: Model, identity: Identity): boolean {
  if (control === undefined) return false;
  const { phase, reads } = control;
  if (phase === 'new-only' || phase === 'trapped' || phase === 'retired' || reads >= BUCKETS) return true;
  return reads > 0 && bucketOf(model.name, identity) < reads;
}

/** The old row that a state stands for; null when it says that the identity was deleted. */
export function oldRowOf(model: Model, state: State): Row | null {
  return (state[model.root]?.length ?? 0) === 0 ? null : model.down(state);
}

export interface ReadRequest<Tx> {
  readonly store: RemodelStore<Tx>;
  readonly model: Model;
  readonly identity: Identity;
  readonly tx: Tx | undefined;
  readonly sides: AnySides;
}

export interface ReadAnswer {
  readonly answer: unknown;
  readonly side: 'old' | 'new';
  /** Answered from a change on its way. */
  readonly wasPending: boolean;
  /** The record it was read by. */
  readonly control: Control | undefined;
}

/**
 * Reads where the control record says, by this process's copy of it. On the way
 * back new rows are taken away as soon as every process that has a lease reads
 * the old model. A process that stood still, or lost the database, may have none:
 * then, and when the record changed meanwhile, it is asked for before and after.
 */
export async function readIdentity<Tx>(request: ReadRequest<Tx>, watch: ControlWatch<Tx>): Promise<ReadAnswer> {
  const { store, model, tx } = request;
  if (watch.isAwaited) {
    const { control } = watch;
    const done = await attempt(request, control);
    if (isFinal(done, tx) || (watch.isAwaited && watch.control?.epoch === control?.epoch)) return answered(done);
  }
  for (let control = await store.control(model, tx); ; ) {
    const done = await attempt(request, control);
    const after = isFinal(done, tx) ? control : await store.control(model, tx);
    if (after?.epoch === control?.epoch) return answered(done);
    control = after;
  }
}

type Attempt = Omit<ReadAnswer, 'answer'> & ({ readonly answer: unknown } | { readonly error: unknown });

/**
 * Whatever the record says by now: the old model answers for itself, because what it lacks is looked for.
 * A transaction that saw an error is at its end.
 */
function isFinal(done: Attempt, tx: unknown): boolean {
  return 'error' in done ? tx !== undefined : done.side === 'old';
}

/** What is thrown may come of rows or tables that are not there any more: the caller judges that. */
async function attempt<Tx>(request: ReadRequest<Tx>, control: Control | undefined): Promise<Attempt> {
  const { model, identity, sides } = request;
  const side = readsNew(control, model, identity) ? 'new' : 'old';
  const base = { side, control, wasPending: false } as const;
  try {
    if (side === 'new') return { ...base, answer: await sides.new() };
    if (control === undefined) return { ...base, answer: await sides.old(undefined) };
    return { ...base, ...(await readOld(request)) };
  } catch (error) {
    return { ...base, error };
  }
}

function answered(done: Attempt): ReadAnswer {
  if ('error' in done) throw done.error;
  return done;
}

/**
 * A read of the old model that never goes back in time: while a change of the
 * identity is on its way, the answer is made from the new rows, or the change
 * is carried to the old table first.
 */
async function readOld<Tx>(read: ReadRequest<Tx>): Promise<{ answer: unknown; wasPending: boolean }> {
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
async function carry<Tx>({ store, model, identity }: ReadRequest<Tx>): Promise<void> {
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
