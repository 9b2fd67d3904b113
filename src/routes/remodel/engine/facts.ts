/** What gates go by, measured through the store: only what is asked for, because some of it is not free. */
import type { AuditRow, Backlog, Control, Lease, ShadowCount } from '../../../kernel/remodel/index.ts';
import type { VerifyReport } from '../api.ts';
import { latestShape, shapeDrift } from './shape.ts';
import type { Tools } from './tools.ts';

export interface TrapFacts {
  /** Reads of the old table within the cycle. */
  readonly hits: number;
  readonly trappedMs: number;
  readonly lastReader: string | undefined;
}

export type ProofFacts = Pick<VerifyReport, 'byValue' | 'missing' | 'extra' | 'different' | 'quarantined'>;

export interface Facts {
  readonly control: Control | undefined;
  /** Hash of the definition that this process holds. */
  readonly definition: string;
  readonly leases: readonly Lease[];
  readonly olderTransactions: boolean;
  readonly backlog: Backlog;
  /** Lines of the shape that went (`-`) or came (`+`) since it was recorded. */
  readonly drift: readonly string[];
  readonly guardWorks: boolean;
  /** Proofs since the present backfill began, the latest first. */
  readonly proofs: readonly ProofFacts[];
  readonly shadow: ShadowCount;
  readonly trap: TrapFacts;
}

export type FactName = keyof Facts;

/** How far back the history is read. */
const AUDIT_LIMIT = 1_000;

const MEASURE: { readonly [K in FactName]: (tools: Tools, history: History) => Facts[K] | Promise<Facts[K]> } = {
  control: ({ store, model }) => store.control(model),
  definition: ({ definition }) => definition,
  leases: ({ store, model }) => store.leases(model),
  olderTransactions: ({ store, model }) => store.hasOlderTransactions(model),
  backlog: ({ store, model }) => store.backlog(model),
  drift: async ({ store, model }, history) => shapeDrift(latestShape(await history()), await store.shape(model)),
  guardWorks: ({ store, model }) => store.guardWorks(model),
  proofs: async (_, history) => proofsOf(await history()),
  shadow: ({ store, model }) => store.shadowCount(model),
  trap: async ({ store, model, clock, cycleMs }, history) =>
    trapFacts(await history(), await store.trapHits(model), clock.now(), cycleMs),
};

type History = () => Promise<readonly AuditRow[]>;

/** Measures the facts named; those not named hold nothing and must not be looked at. */
export async function measure(tools: Tools, wanted: Iterable<FactName>): Promise<Facts> {
  let rows: Promise<readonly AuditRow[]> | undefined;
  const history = () => {
    rows ??= auditOf(tools);
    return rows;
  };
  const facts: Partial<Record<FactName, unknown>> = {};
  for (const name of new Set(wanted)) facts[name] = await MEASURE[name](tools, history);
  return facts as Facts;
}

/** The history since the remodel was last created, the latest first: one of the same name may have been dropped before. */
export async function auditOf({ store, model }: Tools): Promise<readonly AuditRow[]> {
  const rows = await store.audit(model, AUDIT_LIMIT);
  const created = rows.findIndex(({ event }) => event === 'created');
  return created < 0 ? rows : rows.slice(0, created + 1);
}

/** Proofs recorded since the backfill last began or went back. Pure. */
export function proofsOf(audit: readonly AuditRow[]): readonly ProofFacts[] {
  const proofs: ProofFacts[] = [];
  for (const { event, data } of audit) {
    if (event === 'phase' && (data['to'] === 'backfilling' || data['to'] === 'dual')) break;
    if (event === 'verify') proofs.push(data['result'] as ProofFacts);
  }
  return proofs;
}

/** Reads of the trapped table within the cycle, and for how long it has been trapped. Pure. */
export function trapFacts(
  audit: readonly AuditRow[],
  hits: readonly { readonly at: string; readonly who: string }[],
  now: number,
  cycleMs: number,
): TrapFacts {
  const trapped = audit.find(({ event, data }) => event === 'phase' && data['to'] === 'trapped');
  if (trapped === undefined) return { hits: 0, trappedMs: 0, lastReader: undefined };
  const since = Math.max(Date.parse(trapped.at), now - cycleMs);
  const within = hits.filter(({ at }) => Date.parse(at) >= since);
  const last = within.reduce<(typeof within)[number] | undefined>(
    (latest, hit) => (latest === undefined || Date.parse(hit.at) > Date.parse(latest.at) ? hit : latest),
    undefined,
  );
  return { hits: within.length, trappedMs: now - Date.parse(trapped.at), lastReader: last?.who };
}
