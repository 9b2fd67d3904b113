/**
 * A copy without a cutover: rounds until one finds nothing to send, then a proof,
 * then one more look that shows that nothing changed while it was made.
 */
import type { Proof } from '../../adapters/linux-files/index.ts';
import { GodwitError } from '../../kernel/errors.ts';
import type { AgentResult } from './api.ts';
import { approach, drain } from './drain.ts';
import { CHANGING, isQuiet, type Mover } from './mover.ts';
import type { StillFiles } from './still-files.ts';

const REPAIRS = 2;

export async function copyOnce(mover: Mover, rounds: number): Promise<AgentResult> {
  const left = () => mover.roundCount <= rounds;
  const round = async (...repair: Parameters<Mover['round']>) => {
    const done = await mover.round(...repair);
    mover.tellRound();
    return isQuiet(done);
  };
  let quiet = await round();
  mover.lookForDeleted();
  while (!quiet && left()) quiet = await round();
  for (let repairs = 0; ; ) {
    const proof = await mover.prove({ listing: true, fresh: true });
    mover.tellProof(proof);
    // Whatever changed while both sides were read shows now; a round that sends it needs another proof.
    if (await round()) {
      // What differs though nothing changed was changed on the target, or bent on the way: it is sent as if it were new.
      if (proof.differenceCount === 0 || repairs >= REPAIRS) return judged(mover, proof);
      repairs += 1;
      await round(proof.differences);
      continue;
    }
    if (!left()) return mover.result('not-proven', { proof, because: CHANGING });
  }
}

/**
 * The same of a source that never stands still by itself: what stands still is proved while it lives, and the file systems
 * are frozen for what is left.
 */
export async function copyFrozen(mover: Mover, freezeFiles: () => Promise<StillFiles>): Promise<AgentResult> {
  await mover.round();
  mover.tellRound();
  mover.lookForDeleted();
  const lookAtBoth = async () => {
    await mover.prove({ listing: false, fresh: false });
  };
  try {
    await approach({ mover, lookAtBoth });
    await using still = await freezeFiles();
    const certificate = await drain(mover, () => {});
    still.mustHold();
    return mover.result('proven', { certificate });
  } catch (error) {
    if (!(error instanceof GodwitError) || !['GW6401', 'GW7403'].includes(error.code)) throw error;
    return mover.result('not-proven', { because: error.message });
  }
}

/** Reads everything on both sides and compares; sends nothing. */
export async function verifyOnce(mover: Mover): Promise<AgentResult> {
  const proof = await mover.prove({ listing: true, fresh: true });
  mover.tellProof(proof);
  return judged(mover, proof);
}

function judged(mover: Mover, proof: Proof): AgentResult {
  const because =
    proof.differenceCount > 0
      ? 'source and target differ'
      : (mover.bar ?? (proof.isEqual ? undefined : 'the hashes of the trees differ'));
  if (because !== undefined) return mover.result('not-proven', { proof, because });
  return mover.result('proven', { proof, certificate: mover.certificate(proof) });
}
