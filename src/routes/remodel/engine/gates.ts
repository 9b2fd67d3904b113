/**
 * What must hold before a remodel moves on: a table of gates by the phase they
 * lead to. Pure: a gate looks at measured facts and says what it saw.
 */
import { BUCKETS, LEASE_ALIVE_MS, type RemodelPhase } from '../../../kernel/remodel/index.ts';
import type { GateResult } from '../api.ts';
import type { FactName, Facts } from './facts.ts';

/** What the person allows or asks for. */
export interface GateSettings {
  readonly acceptLossy: boolean;
  readonly lagLimitMs: number;
  readonly minShadow: number;
  readonly cycleMs: number;
  /** How long a command waits for gates that open by themselves. */
  readonly timeoutMs: number;
}

export interface Gate {
  readonly name: string;
  /** Facts that must be measured for it. */
  readonly needs: readonly FactName[];
  readonly look: (facts: Facts, settings: GateSettings) => Omit<GateResult, 'name'>;
  /** Whether it opens by itself, given the time that a command may wait. */
  readonly passes?: (facts: Facts, settings: GateSettings) => boolean;
}

const shapeUnchanged: Gate = {
  name: 'the tables have the shape recorded',
  needs: ['drift'],
  look: ({ drift }) => ({
    holds: drift.length === 0,
    measured: drift.length === 0 ? 'unchanged' : drift.slice(0, 5).join('; '),
  }),
};

const guardCatches: Gate = {
  name: 'the guard catches writes past the library',
  needs: ['guardWorks'],
  look: ({ guardWorks }) => ({
    holds: guardWorks,
    measured: guardWorks ? 'a heartbeat was caught' : 'a heartbeat went past it',
  }),
};

const sameDefinition: Gate = {
  name: 'every process has this definition',
  needs: ['control', 'leases', 'definition'],
  look: ({ control, leases, definition }) => {
    if (control?.definition !== definition) return { holds: false, measured: 'this file is another one' };
    const others = leases.filter((lease) => lease.ageMs < LEASE_ALIVE_MS && lease.definition !== control.definition);
    return {
      holds: others.length === 0,
      measured: others.length === 0 ? 'yes' : `another one: ${names(others)}`,
    };
  },
};

const rampFull: Gate = {
  name: 'the ramp is at 100 %',
  needs: ['control'],
  look: ({ control }) => ({ holds: control?.ramp === BUCKETS, measured: share(control?.ramp ?? 0) }),
};

const readsFull: Gate = {
  name: 'reads are at 100 %',
  needs: ['control'],
  look: ({ control }) => ({ holds: control?.reads === BUCKETS, measured: share(control?.reads ?? 0) }),
};

const fleetOnEpoch: Gate = {
  name: 'every live process knows it',
  passes: () => true,
  needs: ['control', 'leases'],
  look: ({ control, leases }) => {
    const alive = leases.filter((lease) => lease.ageMs < LEASE_ALIVE_MS);
    const behind = alive.filter((lease) => lease.epoch !== control?.epoch);
    return {
      holds: behind.length === 0,
      measured:
        behind.length === 0
          ? `${alive.length} live, all on epoch ${control?.epoch ?? 0}`
          : `not on epoch ${control?.epoch ?? 0}: ${names(behind)}`,
    };
  },
};

const noOlderTransactions: Gate = {
  name: 'no transaction is older',
  passes: () => true,
  needs: ['olderTransactions'],
  look: ({ olderTransactions }) => ({
    holds: !olderTransactions,
    measured: olderTransactions ? 'one that may have begun before still runs' : 'none',
  }),
};

const noQuarantine: Gate = {
  name: 'the quarantine is empty',
  needs: ['backlog'],
  look: ({ backlog }) => ({ holds: backlog.quarantined === 0, measured: String(backlog.quarantined) }),
};

const noDirty: Gate = {
  name: 'no write past the library waits',
  passes: () => true,
  needs: ['backlog'],
  look: ({ backlog }) => ({ holds: backlog.dirty === 0, measured: String(backlog.dirty) }),
};

const provedTwice: Gate = {
  name: 'two proofs in a row, the last by value, found nothing',
  needs: ['proofs'],
  look: ({ proofs }) => {
    const [last, before] = proofs;
    if (last === undefined) return { holds: false, measured: 'none since the backfill began' };
    const words = proofs
      .slice(0, 2)
      .map(
        (proof) =>
          `${proof.missing}/${proof.extra}/${proof.different}${proof.byValue ? ' by value' : ' by presence'}${proof.quarantined > 0 ? `, ${proof.quarantined} quarantined` : ''}`,
      )
      .join(', before it ');
    const clean = proofs
      .slice(0, 2)
      .every((proof) => proof.missing + proof.extra + proof.different + proof.quarantined === 0);
    return { holds: before !== undefined && clean && last.byValue, measured: `missing/extra/different ${words}` };
  },
};

const shadowAgrees: Gate = {
  name: 'reads compared in the shadow agree',
  needs: ['control', 'shadow'],
  passes: ({ control, shadow }) => shadow.confirmed === 0 && (control?.shadow ?? 0) > 0,
  look: ({ control, shadow }, { minShadow }) => ({
    holds: shadow.confirmed === 0 && shadow.same >= minShadow,
    measured: `${shadow.confirmed} differ, ${shadow.same} the same of at least ${minShadow}, ${shadow.failed} failed; ${share(control?.shadow ?? 0)} are compared`,
  }),
};

const nothingDiffers: Gate = {
  name: 'no read compared in the shadow differs',
  needs: ['shadow'],
  look: ({ shadow }) => ({
    holds: shadow.confirmed === 0,
    measured: `${shadow.confirmed} differ, ${shadow.same} the same`,
  }),
};

/** Under live writes the outbox is never empty for long: drained means that nothing waits longer than the limit. */
const drained: Gate = {
  name: 'the old table is up to date',
  passes: () => true,
  needs: ['backlog'],
  look: ({ backlog }, { lagLimitMs }) => ({
    holds: backlog.pending === 0 || backlog.oldestMs <= lagLimitMs,
    measured: `${backlog.pending} wait, the oldest for ${Math.round(backlog.oldestMs)} ms of at most ${lagLimitMs}`,
  }),
};

const nothingLossy: Gate = {
  name: 'the old model can hold everything',
  needs: ['backlog'],
  look: ({ backlog }, { acceptLossy }) => ({
    holds: backlog.lossy === 0 || acceptLossy,
    measured: `${backlog.lossy} identities it cannot hold${backlog.lossy > 0 ? (acceptLossy ? ', accepted' : '; --accept-lossy accepts that they cannot come back whole') : ''}`,
  }),
};

const nobodyReadsOld: Gate = {
  name: 'nobody read the old table for a whole cycle',
  needs: ['trap'],
  passes: (_, { cycleMs, timeoutMs }) => cycleMs <= timeoutMs,
  look: ({ trap }, { cycleMs }) => ({
    holds: trap.hits === 0 && trap.trappedMs >= cycleMs,
    measured: `${trap.hits} reads, trapped for ${Math.round(trap.trappedMs / 1000)} s of ${Math.round(cycleMs / 1000)} s${trap.lastReader === undefined ? '' : `, last by ${trap.lastReader}`}`,
  }),
};

const owned: Gate = {
  name: 'the new model owns nothing',
  needs: ['backlog'],
  look: ({ backlog }) => ({
    holds: backlog.owned + backlog.tombstones === 0,
    measured: `${backlog.owned} identities, ${backlog.tombstones} tombstones`,
  }),
};

const INTACT = [sameDefinition, shapeUnchanged, guardCatches] as const;

/** Gates forward, by the phase they lead to, or by a step inside a phase. */
export const GATES = {
  draft: [owned],
  created: [],
  dual: INTACT,
  sealed: [rampFull, fleetOnEpoch, noOlderTransactions, ...INTACT],
  backfilling: INTACT,
  verified: [provedTwice, noQuarantine, noDirty, ...INTACT],
  reads: [noQuarantine, ...INTACT],
  /** More reads from the new model than now. */
  'more reads': [shadowAgrees, drained, noQuarantine, ...INTACT],
  'new-only': [readsFull, fleetOnEpoch, nothingDiffers, drained, noQuarantine, noDirty, nothingLossy, ...INTACT],
  trapped: [fleetOnEpoch, noOlderTransactions, sameDefinition, shapeUnchanged],
  retired: [nobodyReadsOld, fleetOnEpoch, sameDefinition],
  /** Before new rows are taken away: nobody may still read them by an older record. */
  'everybody knows': [fleetOnEpoch],
  /** The same, and nobody may still go by an older ramp. */
  'nothing is adopted': [fleetOnEpoch, noOlderTransactions],
  /** Giving identities back to the old model. */
  release: [sameDefinition, shapeUnchanged, nothingLossy, noQuarantine],
} as const satisfies Record<
  RemodelPhase | 'more reads' | 'everybody knows' | 'nothing is adopted' | 'release',
  readonly Gate[]
>;

export type GateName = keyof typeof GATES;

/** Whether every closed gate opens by itself: then waiting is of use. */
export function mayOpen(name: GateName, facts: Facts, settings: GateSettings): boolean {
  return GATES[name].every(
    (gate: Gate) => gate.look(facts, settings).holds || (gate.passes?.(facts, settings) ?? false),
  );
}

export function look(name: GateName, facts: Facts, settings: GateSettings): readonly GateResult[] {
  return GATES[name].map((gate: Gate) => ({ name: gate.name, ...gate.look(facts, settings) }));
}

export function share(parts: number): string {
  return `${Number((parts / (BUCKETS / 100)).toFixed(2))} %`;
}

function names(leases: readonly { readonly process: string; readonly host: string; readonly epoch: number }[]): string {
  return leases
    .slice(0, 5)
    .map(({ process, host, epoch }) => `${process} on ${host} (epoch ${epoch})`)
    .join(', ');
}
