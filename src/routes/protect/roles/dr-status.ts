import type { DrOptions, DrStatus, FailbackStatus, PromotionResult, RewindStatus } from '../api.ts';
import type { Dr } from '../engine/dr.ts';
import { amountOf, NONE, recoveryPoint } from './amounts.ts';
import { slotsOf } from './layout.ts';
import type { Network } from './network.ts';
import { outcomesOfDr } from './outcomes.ts';

/** What the role knows beside its engine. */
export interface DrRoleFacts {
  readonly phase: DrStatus['phase'];
  readonly promotion: PromotionResult | undefined;
  readonly failback: FailbackStatus | undefined;
  readonly rewind: RewindStatus | undefined;
  readonly isBringingUp: boolean;
  readonly network: Network;
}

export function drStatus(dr: Dr, options: DrOptions, facts: DrRoleFacts): DrStatus {
  const { phase, promotion, failback, rewind, isBringingUp, network } = facts;
  const { base, last, stale, lastEpoch } = dr.standing;
  const now = Date.now();
  const entries = [...dr.history.from(base.sequence + 1)];
  const records = (isMeant: (entry: (typeof entries)[number]) => boolean) =>
    amountOf(
      entries.filter(isMeant).map(({ record }) => record),
      now,
    );
  const dataLag = records(({ stored }) => !stored);
  const alone = recoveryPoint({
    lost: ['primary', 'auxiliary'],
    base: base.sequence,
    entries,
    isThere: ({ ordered, stored }) => ordered && stored,
    // Of each it is known that it was written, and not whether it was acknowledged.
    settled: last.sequence,
    now,
  });
  return {
    role: 'dr',
    incomplete: dr.isIncomplete,
    volume: options.volume,
    phase,
    epoch: lastEpoch,
    base: base.sequence,
    last: last.sequence,
    stale,
    dataLag,
    suspended: records(({ stored, record }) => stored && record.sequence > dr.applied),
    ringFill: Math.max(
      (dr.history.last.place - base.place) / options.ring,
      (dr.history.last.sequence - base.sequence) / slotsOf(options),
    ),
    recoveryPoints: [stale ? { ...alone, sequence: null, at: null } : alone],
    outcomes: outcomesOfDr({ phase, stale, alone, toFetch: phase === 'promoted' ? dataLag : NONE }),
    peers: { primary: network.statusOf('primary'), auxiliary: network.statusOf('auxiliary') },
    ...(isBringingUp ? { bringUp: records(({ record }) => record.sequence > dr.applied) } : {}),
    ...(rewind ? { rewind } : {}),
    ...(promotion ? { promotion } : {}),
    ...(failback ? { failback } : {}),
  };
}
