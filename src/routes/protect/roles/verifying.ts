import { GodwitError } from '../../../kernel/errors.ts';
import type { ProtectHooks, VerifyResult, VerifyStatus } from '../api.ts';
import type { Primary } from '../engine/primary.ts';
import { Verification, type Verified } from '../engine/verification.ts';
import { tell } from './events.ts';

/** Without a word of the DR for so long it is given up. */
const PATIENCE_MS = 30_000;
const RETRY_MS = 2_000;

/** Comparisons of the DR's image with the volume, one at a time; who asks meanwhile waits for the same end. */
export class Verifying {
  readonly #primary: Primary;
  readonly #hooks: ProtectHooks;
  #running: { readonly mend: boolean; readonly end: Promise<VerifyResult> } | undefined;

  constructor(primary: Primary, hooks: ProtectHooks) {
    this.#primary = primary;
    this.#hooks = hooks;
  }

  get status(): VerifyStatus | undefined {
    const { verification } = this.#primary;
    if (verification === undefined) return undefined;
    return {
      comparedBytes: verification.comparedBytes,
      totalBytes: verification.size,
      differing: verification.differingCount,
      mended: verification.mendedCount,
    };
  }

  /** @throws GodwitError GW7019 when the DR is away, or is behind */
  async run(mend: boolean): Promise<VerifyResult> {
    if (this.#running !== undefined && this.#running.mend !== mend) {
      throw new GodwitError('GW1004', 'It is being compared already, in the other way; wait for the end of that');
    }
    this.#running ??= {
      mend,
      end: this.#run(mend).finally(() => {
        this.#running = undefined;
      }),
    };
    return await this.#running.end;
  }

  async #run(mend: boolean): Promise<VerifyResult> {
    const began = performance.now();
    tell(this.#hooks, 'verifying', { mend });
    const outcome = await new Promise<Verified | GodwitError>((resolve) => {
      const options = { mend, patienceMs: PATIENCE_MS, retryMs: RETRY_MS };
      const verification = new Verification(this.#primary, options, resolve);
      this.#primary.verification = verification;
      verification.start();
    });
    if (outcome instanceof GodwitError) {
      tell(this.#hooks, 'not-verified', { code: outcome.code, message: outcome.message });
      throw outcome;
    }
    const { bytes, differing, mended } = outcome;
    tell(this.#hooks, 'verified', { bytes, differing: differing.length, mended: mended.length });
    return { ...outcome, seconds: (performance.now() - began) / 1000 };
  }
}
