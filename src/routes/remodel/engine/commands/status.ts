/** `status`: one look at a remodel. */
import { redactUri } from '../../../../kernel/redact.ts';
import type { RemodelStatus } from '../../api.ts';
import { auditOf } from '../facts.ts';
import type { GateName } from '../gates.ts';
import { lookAt } from '../move.ts';
import type { Tools } from '../tools.ts';

const NEXT: Partial<Record<RemodelStatus['phase'], GateName & RemodelStatus['phase']>> = {
  created: 'dual',
  dual: 'sealed',
  sealed: 'backfilling',
  backfilling: 'verified',
  verified: 'reads',
  reads: 'new-only',
  'new-only': 'trapped',
  trapped: 'retired',
};

const AUDIT_SHOWN = 8;

export async function status(tools: Tools): Promise<RemodelStatus> {
  const { store, model, options, clock } = tools;
  const head = {
    version: 1 as const,
    route: 'remodel' as const,
    remodel: model.name,
    at: new Date(clock.now()).toISOString(),
    db: redactUri(options.db),
    from: model.from.name,
    to: Object.values(model.to).map(({ name }) => name),
  };
  const control = await store.control(model);
  if (control === undefined || control.phase === 'draft')
    return { ...head, phase: 'draft', control: null, backlog: null, shadow: null, leases: [], next: null, audit: [] };
  const phase = NEXT[control.phase];
  return {
    ...head,
    phase: control.phase,
    control,
    backlog: control.phase === 'retired' ? null : await store.backlog(model),
    shadow: await store.shadowCount(model),
    leases: await store.leases(model),
    next: phase === undefined ? null : { phase, gates: await lookAt(tools, phase) },
    audit: (await auditOf(tools)).slice(0, AUDIT_SHOWN),
  };
}
