import type { Drift } from '../../../kernel/ports.ts';
import type { Position } from '../../../kernel/position.ts';
import { fullId } from '../write.ts';
import type { AsideRow } from './aside.ts';
import type { ChangeKind, PendingChange } from './pending.ts';

/** A difference with what the log says of it. */
export interface Judged extends Drift {
  readonly verdict: 'late' | 'wrong';
  /** Why, in words. */
  readonly reason: string;
  /** Digest of what the source held at the position applied: the old value; `none` when it held nothing. */
  readonly before?: string;
  /** The change that is on its way. */
  readonly entry?: { readonly position: Position; readonly kind: ChangeKind; readonly changes: number };
}

interface Row extends AsideRow {
  readonly unit: string;
}

interface LogEvidence {
  readonly change: PendingChange | undefined;
  /** So much changed in the collection that the log's changes of single keys are not known. */
  readonly unknown: boolean;
  /** The target may hold changes up to here already. */
  readonly aheadTo: Position;
}

/** What the source held at the position applied, and what the target held with it; undefined for nothing. */
interface Values {
  readonly source: string | undefined;
  readonly target: string | undefined;
}

/**
 * By the old value: the target has to hold exactly what the source held at the
 * position applied. This needs no belief in the log's words about the document.
 *
 * @param isMoment both values belong to one moment; else the target was read
 *   later, and may hold changes that do not count as applied yet
 */
export function judgeByValues(row: Row, evidence: LogEvidence, values: Values, isMoment: boolean): Judged {
  const { change } = evidence;
  const before = values.source ?? 'none';
  if (values.source !== values.target) {
    const isAhead = !isMoment && change !== undefined && change.first.position <= evidence.aheadTo;
    if (isAhead) return judgeByLog(row, evidence);
    const reason =
      'the target does not hold what the source held at the position up to which the log is applied: no change on its way explains that';
    return { ...shown(row), verdict: 'wrong', reason, before, ...entryOf(evidence) };
  }
  if (change || evidence.unknown) {
    const reason = 'the target holds the old value, from before a change that is in the log and was not applied yet';
    return { ...shown(row), verdict: 'late', reason, before, ...entryOf(evidence) };
  }
  const reason = 'the log has no change that leads from what the source held at the position applied to what it holds';
  return { ...shown(row), verdict: 'wrong', reason, before };
}

/**
 * By the log alone, when the source cannot be read as of the position applied
 * any more: the first change must be possible on what the target holds, and
 * the changes must lead to what the source holds.
 */
export function judgeByLog(row: Row, evidence: LogEvidence): Judged {
  const { change } = evidence;
  if (!change) {
    if (evidence.unknown) {
      const reason =
        'so many keys of the collection are changed by the log that single ones cannot be told; it is compared again once the log is applied';
      return { ...shown(row), verdict: 'late', reason };
    }
    return {
      ...shown(row),
      verdict: 'wrong',
      reason: 'the log has no change of it that is not applied',
      ...entryOf(evidence),
    };
  }
  const targetHas = row.kind !== 'missing';
  const sourceHas = row.kind !== 'extra';
  // What the target may have of it already, it need not have from before.
  const isAhead = change.first.position <= evidence.aheadTo;
  if (!isAhead && targetHas === (change.first.kind === 'insert')) {
    const reason = `the first change that is not applied is ${withArticle(change.first.kind)}, which does not go with what the target holds`;
    return { ...shown(row), verdict: 'wrong', reason, ...entryOf(evidence) };
  }
  const explained = sourceHas
    ? change.wroteDiffs || change.wrote.includes(row.sourceDigest ?? '')
    : change.last.kind === 'delete' || change.count > 1;
  if (!explained) {
    const reason = 'the changes that are not applied do not lead to what the source holds';
    return { ...shown(row), verdict: 'wrong', reason, ...entryOf(evidence) };
  }
  const reason =
    change.wroteDiffs && sourceHas
      ? 'by their timestamps: changes of it are in the log and not applied yet'
      : 'changes in the log that are not applied yet lead from what the target holds to what the source holds';
  return { ...shown(row), verdict: 'late', reason, ...entryOf(evidence) };
}

function withArticle(kind: ChangeKind): string {
  return /^[aeiou]/.test(kind) ? `an ${kind}` : `a ${kind}`;
}

function shown({ unit, kind, key, sourceDigest, targetDigest }: Row): Drift {
  return {
    unit,
    kind,
    key: fullId(key),
    ...(sourceDigest === undefined ? {} : { sourceDigest }),
    ...(targetDigest === undefined ? {} : { targetDigest }),
  };
}

function entryOf({ change }: LogEvidence): Pick<Judged, 'entry'> {
  if (!change) return {};
  return { entry: { position: change.first.position, kind: change.first.kind, changes: change.count } };
}
