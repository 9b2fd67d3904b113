import { GodwitError } from '../../../kernel/errors.ts';
import type { Finding, Severity } from '../../../kernel/finding.ts';
import { checkCollections } from './collections.ts';
import type { Check, PreflightContext, TargetCheck, TargetContext } from './context.ts';
import { checkDeltaStage } from './delta-self-test.ts';
import { checkOplogWindow } from './oplog-window.ts';
import { checkPrivileges } from './privileges.ts';
import { checkTargetNames } from './target-names.ts';
import { checkTargetSpace } from './target-space.ts';
import { checkTopology } from './topology.ts';
import { checkVersions } from './versions.ts';
import { checkViews } from './views.ts';
import { checkFence, checkUsers } from './writers-and-users.ts';

const CHECKS: readonly (readonly [name: string, check: Check])[] = [
  ['topology', checkTopology],
  ['versions', checkVersions],
  ['privileges', checkPrivileges],
  ['target.names', checkTargetNames],
  ['target.disk', checkTargetSpace],
  ['target.delta-stage', checkDeltaStage],
  ['oplog.window', checkOplogWindow],
  ['collections', checkCollections],
  ['views', checkViews],
  ['fence', checkFence],
  ['users', checkUsers],
];

/** What can be known of a target by itself, before a medium is loaded into it. */
const TARGET_CHECKS: readonly (readonly [name: string, check: TargetCheck])[] = [
  ['target.names', checkTargetNames],
  ['target.delta-stage', checkDeltaStage],
  ['collections', checkCollections],
];

const ORDER: Readonly<Record<Severity, number>> = { error: 0, warning: 1, info: 2 };

/**
 * Everything that can be known before anything of the run is touched, in one
 * list, the gravest first. The only write is a scratch collection on the
 * target, which is dropped again.
 */
export function preflight(ctx: PreflightContext): Promise<Finding[]> {
  return runChecks(CHECKS, ctx);
}

/** The same for a medium, whose source is far away. */
export function preflightTarget(ctx: TargetContext): Promise<Finding[]> {
  return runChecks(TARGET_CHECKS, ctx);
}

async function runChecks<C>(
  checks: readonly (readonly [name: string, check: (ctx: C) => Promise<Finding[]>])[],
  ctx: C,
): Promise<Finding[]> {
  const findings: Finding[] = [];
  for (const [name, check] of checks) {
    try {
      findings.push(...(await check(ctx)));
    } catch (error) {
      // A check that may not look is a finding; the others go on.
      if (!(error instanceof GodwitError) || error.code !== 'GW2004') throw error;
      findings.push({
        severity: 'warning',
        check: name,
        message: `It could not be looked at: ${error.message}`,
        remedy: 'Grant the privileges named under privileges.source and privileges.target, then check again',
      });
    }
  }
  return findings.sort((a, b) => ORDER[a.severity] - ORDER[b.severity]);
}
