import type { ProtectHooks } from '../api.ts';

/** Tells of what happened, with the time of day. */
export function tell(hooks: ProtectHooks, kind: string, data: Readonly<Record<string, unknown>> = {}): void {
  hooks.onEvent({ at: new Date().toISOString(), kind, data });
}

/** Resolves when the signal is set; rejects when `fail` is called: a role that cannot go on must end. */
export class Lifetime {
  readonly ended: Promise<void>;
  #fail: (error: Error) => void = () => {};

  constructor(signal: AbortSignal) {
    this.ended = new Promise((resolve, reject) => {
      this.#fail = reject;
      if (signal.aborted) resolve();
      else signal.addEventListener('abort', () => resolve(), { once: true });
    });
    this.ended.catch(() => undefined);
  }

  readonly fail = (error: Error): void => this.#fail(error);
}
