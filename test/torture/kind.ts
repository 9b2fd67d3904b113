import type { Rng } from './rng.ts';
import type { World } from './world.ts';

/** One kind of operation. Errors it throws are judged by `expected-errors.ts`. */
export interface Kind {
  readonly name: string;
  /** How often, against the other kinds. */
  readonly weight: number;
  readonly run: (world: World, rng: Rng) => Promise<unknown>;
}
