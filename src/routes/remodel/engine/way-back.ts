import { GodwitError } from '../../../kernel/errors.ts';
import type { RemodelPhase } from '../../../kernel/remodel/index.ts';

/** The one step back from each phase. */
const BACK: Partial<Record<RemodelPhase, RemodelPhase>> = {
  trapped: 'new-only',
  'new-only': 'reads',
  reads: 'verified',
  verified: 'dual',
  backfilling: 'dual',
  sealed: 'dual',
  dual: 'created',
  created: 'draft',
};

/**
 * The phases gone through on the way back, the last one the goal; one step when
 * no goal is given. Throws GW1004 where there is no way. Pure.
 */
export function wayBack(from: RemodelPhase, to: RemodelPhase | undefined): readonly RemodelPhase[] {
  const path: RemodelPhase[] = [];
  for (let phase = BACK[from]; phase !== undefined; phase = BACK[phase]) {
    path.push(phase);
    if (to === undefined || phase === to) return path;
  }
  const words = to === undefined ? '' : ` to ${to}`;
  throw new GodwitError('GW1004', `No way leads back from ${from}${words}`, { details: { phase: from } });
}
