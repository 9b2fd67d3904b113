/** What each failure would cost at this instant, in words and as a verdict. */
import type { Amount, Outcome, RecoveryPoint, RoleName, Verdict } from '../api.ts';
import type { Mode, Policy } from '../engine/rules.ts';

export interface PrimaryFacts {
  readonly policy: Policy;
  readonly mode: Mode | undefined;
  /** If the primary alone is lost, and if the auxiliary is lost with it. */
  readonly alone: RecoveryPoint;
  readonly together: RecoveryPoint;
  /** What a DR that was away has missed and nobody else holds. */
  readonly missedBytes: number;
  /** Nothing: for ever. */
  readonly patienceMs: number | undefined;
}

export function outcomesOfPrimary({ policy, mode, alone, together, missedBytes, patienceMs }: PrimaryFacts): Outcome[] {
  if (mode === undefined)
    return [outcome([], 'unknown', 'not known before the first operation is settled', 'anything')];
  // Plain writes of this policy are answered before they are anywhere else: only a flush promises something.
  const nothing = policy === 'barrier' ? 'nothing that was flushed is lost' : 'nothing that was acknowledged is lost';
  const waits =
    patienceMs === undefined
      ? 'writers wait until it is back'
      : `writers wait ${patienceMs / 1000} s, then they go on without it`;
  const refused =
    'the DR has missed operations that nobody else holds: it takes over by force only, as no state ever was';
  const lost = (missing: Amount, why: string): [Verdict, string] =>
    missing.operations === 0 ? ['nothing', nothing] : ['operations', `${words(missing)} ${why}`];
  const stale = missedBytes > 0;
  const other = (role: RoleName, isMissing: boolean) =>
    isMissing
      ? outcome([role], 'missing', 'it is missing already')
      : outcome([role], 'nothing', `${nothing}; ${waits}`);
  return [
    stale
      ? outcome(['primary'], 'refused', refused)
      : outcome(['primary'], ...lost(alone.missing, 'that no other role has are lost, and named')),
    other('auxiliary', mode === 'no-auxiliary'),
    other('dr', mode === 'no-dr'),
    stale
      ? outcome(['primary', 'auxiliary'], 'refused', refused)
      : outcome(
          ['primary', 'auxiliary'],
          ...lost(together.missing, 'that have not arrived at the DR are lost, and named'),
        ),
    outcome(
      ['auxiliary', 'dr'],
      'waits',
      'nothing is lost, and nothing more is acknowledged or read until one of them is back',
    ),
    outcome(
      ['primary', 'dr'],
      'volume',
      'the volume is served nowhere: both images are gone, the auxiliary has only what the DR had not executed',
    ),
  ];
}

export interface DrFacts {
  readonly phase: 'following' | 'promoting' | 'promoted';
  readonly stale: boolean;
  readonly alone: RecoveryPoint;
  /** Of a promoted one: what is at the auxiliary only. */
  readonly toFetch: Amount;
}

export function outcomesOfDr({ phase, stale, alone, toFetch }: DrFacts): Outcome[] {
  if (phase === 'promoted') {
    return [
      outcome(['dr'], 'operations', 'everything that was written here since the promotion is gone'),
      toFetch.operations === 0
        ? outcome(['auxiliary'], 'nothing', 'nothing is lost: all of the volume is here')
        : outcome(
            ['auxiliary'],
            'operations',
            `${words(toFetch)} that were not fetched yet are lost; the rest goes on`,
          ),
    ];
  }
  const { missing } = alone;
  const both: [Verdict, string] = stale
    ? ['refused', 'operations are missing here: only by force, as no state the volume ever had']
    : missing.operations === 0
      ? ['nothing', `nothing that is known here is lost${alone.at === null ? '' : `; the volume is as of ${alone.at}`}`]
      : ['operations', `${words(missing)} are lost, and named`];
  return [outcome(['primary', 'auxiliary'], ...both)];
}

const NAMES: Readonly<Record<RoleName, string>> = { primary: 'the primary', auxiliary: 'the auxiliary', dr: 'the DR' };

function outcome(roles: readonly RoleName[], verdict: Verdict, costs: string, fails?: string): Outcome {
  return { roles, fails: fails ?? roles.map((role) => NAMES[role]).join(' and '), costs, verdict };
}

function words({ operations, bytes }: Amount): string {
  return `${operations} ${operations === 1 ? 'operation' : 'operations'} (${bytes} bytes)`;
}
