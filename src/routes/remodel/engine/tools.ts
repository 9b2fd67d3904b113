import type { Clock } from '../../../kernel/clock.ts';
import type { Model, RemodelAdmin, RemodelStore } from '../../../kernel/remodel/index.ts';
import type { RemodelOptions } from '../api.ts';
import type { GateSettings } from './gates.ts';

/** A store whose kind of transaction does not matter: commands never write as the application does. */
export type AnyStore = RemodelStore<never>;

/** What every command works with. */
export interface Tools {
  readonly model: Model;
  /** Hash of the definition. */
  readonly definition: string;
  readonly store: AnyStore;
  readonly admin: RemodelAdmin;
  readonly options: RemodelOptions;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** How long nobody may have read the old table. */
  readonly cycleMs: number;
  readonly settings: GateSettings;
  /** Tells what happens meanwhile. */
  readonly say: (kind: string, message: string, data?: Record<string, unknown>) => void;
}
