/** The evidence of a move, chained: changing one afterwards changes every hash that follows. Pure. */
import { createHash } from 'node:crypto';
import type { AuditRow } from '../../../kernel/remodel/index.ts';
import type { GateResult, Proof } from '../api.ts';

export function makeProof(
  definition: string,
  event: string,
  gates: readonly GateResult[],
  facts: Readonly<Record<string, unknown>>,
  previous: string,
): Proof {
  const text = canonicalJson({ definition, event, gates, facts, previous });
  return { gates, facts, previous, hash: createHash('sha256').update(text).digest('hex') };
}

/** The hash of the latest proof in a history that has the latest first. */
export function latestProof(audit: readonly AuditRow[]): string {
  for (const { data } of audit) {
    const proof = data['proof'] as Proof | undefined;
    if (proof !== undefined) return proof.hash;
  }
  return '';
}

/** Moves whose recorded proof does not fit what it says, or the one before it: somebody changed the history. */
export function brokenProofs(definition: string, audit: readonly AuditRow[]): readonly AuditRow[] {
  let previous = '';
  const broken: AuditRow[] = [];
  for (const row of [...audit].reverse()) {
    const proof = row.data['proof'] as Proof | undefined;
    if (proof === undefined) continue;
    const again = makeProof(definition, row.event, proof.gates, proof.facts, proof.previous);
    if (again.hash !== proof.hash || (previous !== '' && proof.previous !== previous)) broken.push(row);
    previous = proof.hash;
  }
  return broken;
}

/** JSON with the names of every object in order: the database may keep them in another one. */
function canonicalJson(value: unknown): string {
  return JSON.stringify(value, (_, part: unknown) =>
    typeof part === 'object' && part !== null && !Array.isArray(part)
      ? Object.fromEntries(Object.entries(part).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)))
      : part,
  );
}
