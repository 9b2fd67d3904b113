import { invariant } from '../../kernel/errors.ts';
import type { RunStore } from '../../state/index.ts';
import type { Generation } from './link.ts';
import { KEY } from './run-context.ts';

/** The flow under way. */
export function currentGeneration(store: RunStore): Generation {
  const generation = store.get<Generation>(KEY.generation);
  invariant(generation, 'A run without a flow of changes');
  return generation;
}

/** Makes a generation the one under way; earlier ones stay on record. */
export function setGeneration(store: RunStore, generation: Generation): void {
  store.set(KEY.generation, generation);
  store.set(`${KEY.generation}.${generation.number}`, generation);
}

/** The flow before the one under way. */
export function previousGeneration(store: RunStore): Generation {
  const { number } = currentGeneration(store);
  const previous = store.get<Generation>(`${KEY.generation}.${number - 1}`);
  invariant(previous, 'The first flow of changes has none before it');
  return previous;
}
