/** The last steps of a copy: while the source lives, and when nobody writes any more. */
import { setTimeout as sleep } from 'node:timers/promises';
import { SETTLE_MS } from '../../adapters/linux-files/index.ts';
import { GodwitError, throwIfAborted } from '../../kernel/errors.ts';
import type { Certificate } from './api.ts';
import { CHANGING, isQuiet, type Mover } from './mover.ts';

/** Rounds over a source that lives, before it is stopped: as long as they get clearly shorter. */
const APPROACHES = 5;
const CLEARLY = 0.7;
/** Rounds over a source that was stopped: it must stand still. */
const LAST_ROUNDS = 5;
const REPAIRS = 3;

interface Sides {
  readonly mover: Mover;
  /** Looks at both sides as a whole while the source lives, so that the proof need not read all of it. */
  readonly lookAtBoth: () => Promise<void>;
}

/** While the source lives: until rounds get no shorter, and all that stands still is proved. */
export async function approach({ mover, lookAtBoth }: Sides): Promise<void> {
  let before = Number.POSITIVE_INFINITY;
  for (let left = APPROACHES; left > 0; left -= 1) {
    const { seconds, sent } = await mover.round();
    if (sent === 0 || seconds > before * CLEARLY) break;
    before = seconds;
  }
  await lookAtBoth();
  await mover.round();
  const { bar } = mover;
  if (bar !== undefined && bar !== CHANGING) throw new GodwitError('GW6401', `Nothing was stopped: ${bar}`);
}

/** Nobody writes any more: what is left is sent, and both sides are proved equal. */
export async function drain(mover: Mover, lap: (part: 'drainMs' | 'proofMs') => void): Promise<Certificate> {
  // What was written right before the end is told from what would be written after it.
  await sleep(SETTLE_MS, undefined, { signal: mover.signal }).catch(() => throwIfAborted(mover.signal));
  await mover.round();
  lap('drainMs');
  let repairs = 0;
  for (let rounds = 0; rounds < LAST_ROUNDS; rounds += 1) {
    const proof = await mover.prove({ listing: false, fresh: false });
    // Whatever changed while both sides were read shows now: then somebody still writes.
    const after = await mover.round();
    lap('proofMs');
    if (!isQuiet(after)) continue;
    const { bar } = mover;
    if (bar !== undefined) throw new GodwitError('GW6401', bar);
    mover.tellProof(proof);
    if (proof.isEqual) return mover.certificate(proof);
    if (repairs >= REPAIRS) break;
    repairs += 1;
    // What differs though nothing changed was changed on the target, or bent on the way: it is sent as if it were new.
    const { differences } = await mover.prove({ listing: true, fresh: false });
    await mover.round(differences);
    lap('drainMs');
  }
  throw new GodwitError('GW6401', repairs > 0 ? 'source and target differ' : CHANGING);
}
