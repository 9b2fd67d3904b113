import type { Doorbell, RemodelStore } from '../../../kernel/remodel/index.ts';

/** A store that is opened when it is needed, so that only its own driver is loaded. */
export interface StoreSource<Tx> {
  open(): Promise<RemodelStore<Tx>>;
}

/** A queue, likewise. */
export interface QueueSource {
  open(): Promise<Doorbell>;
}
