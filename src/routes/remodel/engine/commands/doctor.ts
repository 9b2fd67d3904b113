/** `doctor`: what is wrong with a remodel, why, and what mends it. */
import { BUCKETS, type Control, LEASE_ALIVE_MS } from '../../../../kernel/remodel/index.ts';
import type { RemodelArgs, RemodelFinding, RemodelResult } from '../../api.ts';
import { auditOf, type Facts, measure } from '../facts.ts';
import { answer, controlOf, dryAnswer, move } from '../move.ts';
import { brokenProofs } from '../proof.ts';
import { shapeHash } from '../shape.ts';
import type { Tools } from '../tools.ts';

/** Reasons of the quarantine that are shown. */
const SHOWN = 20;
/** A change that waits for longer means that no relay works. */
const STUCK_MS = 30_000;

export async function doctor(tools: Tools, args: RemodelArgs): Promise<RemodelResult> {
  const control = await controlOf(tools);
  if (tools.options.dryRun) return dryAnswer(tools, 'doctor', control, [], wouldDo(args));
  const done = await mend(tools, control, args);
  const findings = await examine(tools, done.control);
  const errors = findings.filter(({ severity }) => severity === 'error').length;
  const words = errors === 0 ? 'Nothing is wrong' : `${errors} ${errors === 1 ? 'thing' : 'things'} to mend`;
  return answer(tools, 'doctor', done.control, [...done.said, words].join('. '), { findings, ok: errors === 0 });
}

function wouldDo({ acceptShape, retryQuarantine, guard }: RemodelArgs): readonly string[] {
  return [
    ...(acceptShape ? ['record the present shape of the tables as the right one'] : []),
    ...(retryQuarantine ? ['let everything in quarantine be tried again'] : []),
    ...(guard === undefined ? [] : [`set the guard to ${guard}`]),
    'examine guard, shape, quarantine, leases and queue',
  ];
}

async function mend(tools: Tools, control: Control, args: RemodelArgs): Promise<{ control: Control; said: string[] }> {
  const { store, admin, model } = tools;
  const said: string[] = [];
  let present = control;
  if (args.acceptShape) {
    const shape = await store.shape(model);
    await admin.note(model, 'shape-accepted', { shape, hash: shapeHash(shape) });
    said.push('The present shape is recorded as the right one');
  }
  if (args.retryQuarantine) {
    const count = await admin.retryQuarantine(model);
    await admin.note(model, 'quarantine-retried', { count });
    said.push(`${count} identities will be tried again`);
  }
  if (args.guard !== undefined && args.guard !== control.guard) {
    ({ control: present } = await move(tools, { control, change: { guard: args.guard }, event: 'guard', gates: [] }));
    said.push(`The guard is set to ${args.guard}`);
  }
  return { control: present, said };
}

export async function examine(tools: Tools, control: Control): Promise<readonly RemodelFinding[]> {
  const { admin, model, store } = tools;
  const facts = await measure(tools, ['control', 'definition', 'leases', 'backlog', 'olderTransactions', 'drift']);
  const hasOldTable = control.phase !== 'trapped' && control.phase !== 'retired';
  const guardWorks = hasOldTable ? await store.guardWorks(model) : true;
  const quarantine = facts.backlog.quarantined > 0 ? await admin.quarantine(model, SHOWN) : [];
  const broken = brokenProofs(tools.definition, await auditOf(tools));
  const hits = control.phase === 'trapped' ? await store.trapHits(model) : [];
  return [
    ...judge(facts, guardWorks),
    ...quarantine.map(({ identity, reason, at }) => ({
      severity: 'error' as const,
      check: 'quarantine',
      message: `${identity}: ${reason} (${at})`,
      remedy: 'Correct the row, the constraint or the transform, then `doctor --retry-quarantine`',
    })),
    ...broken.map(({ event, epoch, at }) => ({
      severity: 'error' as const,
      check: 'history',
      message: `The proof of ${event} at epoch ${epoch} (${at}) does not fit what it says`,
      remedy: 'Somebody changed the history of this remodel: do not rely on it; compare again with `verify`',
    })),
    ...hits.slice(0, SHOWN).map(({ at, who, query }) => ({
      severity: 'warning' as const,
      check: 'trap',
      message: `${who} read the old table at ${at}: ${query.slice(0, 200)}`,
      remedy: 'Let it read the new tables before the old one is retired',
    })),
  ];
}

/** Pure. */
function judge(facts: Facts, guardWorks: boolean): readonly RemodelFinding[] {
  const { control, definition, leases, backlog, olderTransactions, drift } = facts;
  const findings: RemodelFinding[] = [];
  const found = (severity: RemodelFinding['severity'], check: string, message: string, remedy?: string) =>
    findings.push({ severity, check, message, ...(remedy === undefined ? {} : { remedy }) });
  if (control?.definition !== definition)
    found('error', 'definition', 'This file holds another definition', 'Use the definition it was created with');
  if (!guardWorks)
    found(
      'error',
      'guard',
      'The guard does not catch writes past the library',
      'Put its trigger back: `create` again, in phase created, or by `create --dry-run` as SQL',
    );
  for (const line of drift)
    found('error', 'shape', line, 'Undo it, or accept it with `doctor --accept-shape` after trying the transforms');
  for (const lease of leases) {
    const name = `${lease.role} ${lease.process} on ${lease.host}`;
    if (lease.ageMs >= LEASE_ALIVE_MS) {
      found('info', 'lease', `${name} was last seen ${Math.round(lease.ageMs / 1000)} s ago`);
    } else if (lease.definition !== control?.definition) {
      found('error', 'lease', `${name} has another definition`, 'Deploy the same definition everywhere');
    } else if (lease.epoch !== control.epoch) {
      found('warning', 'lease', `${name} goes by epoch ${lease.epoch}, not ${control.epoch}`);
    }
  }
  if (control?.ramp === BUCKETS && !leases.some(({ role, ageMs }) => role === 'application' && ageMs < LEASE_ALIVE_MS))
    found('warning', 'lease', 'No process of the application is alive', 'Is it deployed with the library?');
  if (
    backlog.pending > 0 &&
    backlog.oldestMs > STUCK_MS &&
    control?.phase !== 'new-only' &&
    control?.phase !== 'trapped'
  )
    found(
      'error',
      'queue',
      `${backlog.pending} changes wait for the old table, the oldest for ${Math.round(backlog.oldestMs / 1000)} s`,
      'Start `godwit remodel relay`, or the relay inside the application',
    );
  if (backlog.dirty > 0)
    found('warning', 'guard', `${backlog.dirty} identities were written past the library and wait to be merged`);
  if (olderTransactions)
    found('info', 'transactions', 'A transaction that may have begun before the last change still runs');
  if (backlog.lossy > 0) found('warning', 'lossy', `${backlog.lossy} identities cannot go back to the old model whole`);
  return findings;
}
