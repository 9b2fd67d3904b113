import { GodwitError } from '../../../kernel/errors.ts';
import type { Model, Row, State } from '../../../kernel/remodel/index.ts';

/** `up`, with whatever it throws as GW5006. */
export function upOf(model: Model, row: Row): State {
  return guarded(model, 'up', () => model.up(row));
}

/** `down`, likewise; GW5005 when the old model cannot hold the state. */
export function downOf(model: Model, state: State): Row {
  return guarded(model, 'down', () => model.down(state));
}

export function guarded<T>(model: Model, what: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (error instanceof GodwitError) throw error;
    // Its words may hold values of the row: only the kind of the error is told.
    const kind = error instanceof Error ? error.name : typeof error;
    throw new GodwitError('GW5006', `Remodel ${model.name}: ${what} threw a ${kind}`, { cause: error });
  }
}
