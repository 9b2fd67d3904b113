import { GodwitError } from '../../../kernel/errors.ts';
import type { FailbackResult, FailbackStatus, ProtectHooks } from '../api.ts';
import type { Dr } from '../engine/dr.ts';
import { Failback, type GivenBack } from '../engine/failback.ts';
import type { Gate } from '../engine/gate.ts';
import { tell } from './events.ts';

const RETRY_MS = 100;
const SILENT_MS = 5_000;

export interface GivingBackParts {
  readonly dr: Dr;
  readonly gate: Gate;
  readonly hooks: ProtectHooks;
  /** Whether the image is the volume already. */
  readonly isReady: () => boolean;
  /** How long a primary is waited for, milliseconds. */
  readonly patienceMs: number;
}

/** A failback of a running DR: it begins when it is asked for, and is asked for once more after it was given up. */
export class GivingBack {
  readonly #parts: GivingBackParts;
  #failback: Failback | undefined;
  #running: Promise<FailbackResult> | undefined;
  #before = 0;

  constructor(parts: GivingBackParts) {
    this.#parts = parts;
  }

  get status(): FailbackStatus | undefined {
    const failback = this.#failback;
    if (failback === undefined) return undefined;
    const { step, remainingBytes, comparedShare } = failback;
    return { step, bytes: this.#before + failback.bytes, remainingBytes, comparedShare };
  }

  /** Resolves when the primary has the volume. @throws GodwitError GW7017 when there is none */
  run(stallMs: number): Promise<FailbackResult> {
    this.#running ??= this.#run(stallMs).finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  async #run(stallMs: number): Promise<FailbackResult> {
    const { dr, gate, hooks, isReady, patienceMs } = this.#parts;
    this.#before += this.#failback?.bytes ?? 0;
    const began = performance.now();
    tell(hooks, 'giving-back');
    const outcome = await new Promise<GivenBack | GodwitError>((resolve) => {
      const options = { retryMs: RETRY_MS, silentMs: SILENT_MS, stallMs, patienceMs, isReady };
      this.#failback = new Failback(dr, gate, options, resolve);
      this.#failback.start();
    });
    if (outcome instanceof GodwitError) {
      tell(hooks, 'failback-refused', { code: outcome.code, message: outcome.message });
      throw outcome;
    }
    const result = {
      ...outcome,
      bytes: this.#before + outcome.bytes,
      seconds: (performance.now() - began) / 1000,
    };
    tell(hooks, 'given-back', { ...result });
    return result;
  }
}
