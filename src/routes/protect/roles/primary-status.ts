import { ioFlusher } from '../../../adapters/linux-memory/index.ts';
import type { PrimaryOptions, PrimaryStatus } from '../api.ts';
import type { Primary } from '../engine/primary.ts';
import { amountOf, recoveryPoint } from './amounts.ts';
import { slotsOf } from './layout.ts';
import type { Network } from './network.ts';
import { outcomesOfPrimary } from './outcomes.ts';

export function phaseOf({ leadership, replenishing, returning, yielding }: Primary): PrimaryStatus['phase'] {
  if (replenishing.isAwaited && !leadership.isDeposed) return 'waiting';
  if (yielding.isHolding && !leadership.isDeposed) return 'yielding';
  if (returning.follows !== undefined) return 'returning';
  return leadership.isDeposed ? 'deposed' : leadership.leads ? 'leading' : 'asking';
}

export function primaryStatus(primary: Primary, options: PrimaryOptions, network: Network): PrimaryStatus {
  const { history, leadership, lanes, modes, store, settled, dirty } = primary;
  const marks = lanes.marks(store.durable);
  const now = Date.now();
  const base = history.base.sequence;
  const entries = [...history.from(base + 1)];
  const late = entries.filter(({ stored }) => !stored).map(({ record }) => record);
  type Entry = (typeof entries)[number];
  const isAtDr = ({ record, stored }: Entry) => stored && record.sequence <= marks.order;
  const isNear = (entry: Entry) => entry.record.sequence <= marks.share || isAtDr(entry);
  const alone = recoveryPoint({ lost: ['primary'], base, entries, isThere: isNear, settled, now });
  const lost = ['primary', 'auxiliary'] as const;
  const together = recoveryPoint({ lost, base, entries, isThere: isAtDr, settled, now });
  const resyncBytes = dirty.bytes;
  // A DR that has missed operations goes on by force only. One that is counted on has missed none: what is sent again mends it.
  const isCountedOn = modes.effective !== undefined && modes.effective !== 'no-dr' && !primary.replenishing.isRunning;
  const missedBytes = isCountedOn ? 0 : resyncBytes;
  const points = [alone, together].map((point) => (missedBytes > 0 ? { ...point, sequence: null, at: null } : point));
  const { policy, patienceMs } = options;
  const phase = phaseOf(primary);
  // Of a volume that is the DR's nothing is known here.
  const isOurs = phase === 'leading' || phase === 'asking' || phase === 'yielding';
  return {
    role: 'primary',
    volume: options.volume,
    size: primary.size,
    phase,
    policy,
    mode: modes.effective,
    epoch: leadership.epoch,
    hasLease: leadership.hasLease,
    last: history.last.sequence,
    settled,
    orderLag: history.last.sequence - marks.order,
    dataLag: amountOf(late, now),
    sharedArea: { way: options.sharing, state: lanes.share.state },
    ringFill: Math.max(
      (history.last.place - history.base.place) / options.ring,
      (history.last.sequence - base) / slotsOf(options),
    ),
    resyncBytes,
    peers: { auxiliary: network.statusOf('auxiliary'), dr: network.statusOf('dr') },
    ioFlusher: ioFlusher(),
    recoveryPoints: isOurs ? points : [],
    outcomes: isOurs
      ? outcomesOfPrimary({ policy, mode: modes.effective, alone, together, missedBytes, patienceMs })
      : [],
  };
}
