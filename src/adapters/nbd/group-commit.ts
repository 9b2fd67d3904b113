/**
 * One sync at a time, shared by all who wait: whoever comes while one runs
 * needs the next one, which then serves everybody that came by its start.
 *
 * An error is final. After a failed fsync the kernel may take the lost pages
 * for clean, and a later one would succeed without them; so none is tried.
 */
export class GroupCommit {
  readonly #sync: () => Promise<void>;
  #running: Promise<void> | undefined;
  #next: Promise<void> | undefined;
  #failure: { readonly error: unknown } | undefined;
  #syncs = 0;

  constructor(sync: () => Promise<void>) {
    this.#sync = sync;
  }

  /** How many were done. */
  get syncs(): number {
    return this.#syncs;
  }

  /** Resolves when a sync that was begun after this call has succeeded. */
  commit(): Promise<void> {
    if (this.#next !== undefined) return this.#next;
    if (this.#running === undefined) return this.#start();
    const start = () => this.#startNext();
    this.#next = this.#running.then(start, start);
    return this.#next;
  }

  #startNext(): Promise<void> {
    this.#next = undefined;
    return this.#start();
  }

  #start(): Promise<void> {
    const running = this.#run();
    this.#running = running;
    return running;
  }

  async #run(): Promise<void> {
    try {
      if (this.#failure !== undefined) throw this.#failure.error;
      this.#syncs += 1;
      await this.#sync();
    } catch (error) {
      this.#failure ??= { error };
      throw error;
    } finally {
      this.#running = undefined;
    }
  }
}
