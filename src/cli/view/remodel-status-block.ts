/** One look at a remodel as a block of lines, for terminals of any size. Pure. */
import { BUCKETS, LEASE_ALIVE_MS, NEXT_REMODEL, type RemodelPhase } from '../../kernel/remodel/index.ts';
import { count, printable, timeOfDay, timeSpan } from '../../routes/migrate/report/format.ts';
import type { RemodelStatus } from '../../routes/remodel/api.ts';
import { bar, clip, joinFitting } from './layout.ts';
import { gateLine } from './remodel-text.ts';
import type { Frame } from './status-block.ts';

const LIFE = Object.keys(NEXT_REMODEL) as readonly RemodelPhase[];

export function remodelStatusBlock(status: RemodelStatus, frame: Frame): readonly string[] {
  const { paint } = frame;
  const width = Math.max(1, frame.columns);
  const head = `${paint.bold(printable(status.remodel))}  ${paint.cyan(status.phase)}  ${paint.dim(printable(`${status.from} → ${status.to.join(', ')}`))}`;
  const lines = [
    head,
    lifeLine(status.phase, frame),
    '',
    ...shareLines(status, frame),
    ...backlogLines(status, width),
    ...leaseLines(status, frame),
    ...gateLines(status, frame),
    ...auditLines(status, frame),
  ];
  return lines.map((line) => clip(line, width));
}

function lifeLine(present: RemodelPhase, { columns, paint }: Frame): string {
  const at = LIFE.indexOf(present);
  const isLong = columns >= 100;
  const shown = LIFE.slice(1).map((phase, index) => {
    const text = isLong || phase === present ? ` ${phase}` : '';
    if (index + 1 < at || present === 'retired') return paint.green(`✔${text}`);
    return index + 1 === at ? paint.cyan(`●${text}`) : paint.dim(`○${text}`);
  });
  return shown.join(paint.dim(isLong ? ' ─ ' : '─'));
}

function shareLines({ control, backlog }: RemodelStatus, { columns, paint }: Frame): readonly string[] {
  if (control === null) return [paint.dim('not created in this database; `godwit remodel create` makes it')];
  const width = Math.max(8, Math.min(24, columns - 60));
  const line = (name: string, parts: number, more: readonly string[]) =>
    joinFitting([`${name.padEnd(7)}${bar(parts, BUCKETS, width)} ${share(parts)}`, ...more], columns);
  const owned =
    backlog === null
      ? []
      : [`${count(backlog.owned)} owned of about ${count(backlog.oldRows)}`, `epoch ${control.epoch}`];
  const compared = control.shadow === 0 ? [] : [`${share(control.shadow)} compared in the shadow`];
  return [line('ramp', control.ramp, owned), line('reads', control.reads, [...compared, `guard: ${control.guard}`])];
}

function backlogLines({ backlog, shadow }: RemodelStatus, width: number): readonly string[] {
  const lines: string[] = [];
  if (backlog !== null) {
    const age = backlog.pending === 0 ? '' : `oldest ${timeSpan(backlog.oldestMs / 1000)}`;
    lines.push(
      joinFitting(
        [
          `queue  ${count(backlog.pending)} wait`,
          age,
          `${backlog.dirty} past the library`,
          `${backlog.quarantined} in quarantine`,
          `${backlog.lossy} lossy`,
          `${backlog.tombstones} tombstones`,
        ],
        width,
      ),
    );
  }
  if (shadow !== null && shadow.same + shadow.pending + shadow.confirmed + shadow.failed > 0)
    lines.push(
      `shadow ${count(shadow.same)} the same   ${count(shadow.pending)} on their way   ${shadow.confirmed} differ   ${shadow.failed} failed`,
    );
  return lines;
}

function leaseLines({ leases, control }: RemodelStatus, { paint, columns }: Frame): readonly string[] {
  if (control === null) return [];
  const alive = leases.filter(({ ageMs }) => ageMs < LEASE_ALIVE_MS);
  const behind = alive.filter(({ epoch }) => epoch !== control.epoch);
  const roles = ['application', 'relay', 'copier'] as const;
  const parts = roles
    .map((role) => ({ role, number: alive.filter((lease) => lease.role === role).length }))
    .filter(({ number }) => number > 0)
    .map(({ role, number }) => `${number} ${role}`);
  const behindText = behind.length === 0 ? '' : paint.yellow(`${behind.length} not on this epoch yet`);
  return [joinFitting([`alive  ${parts.join(', ') || paint.yellow('no process')}`, behindText], columns)];
}

function gateLines({ next }: RemodelStatus, { paint }: Frame): readonly string[] {
  if (next === null) return [];
  return ['', paint.bold(`to ${next.phase}`), ...next.gates.map((gate) => `  ${gateLine(gate, paint)}`)];
}

function auditLines({ audit }: RemodelStatus, { paint }: Frame): readonly string[] {
  if (audit.length === 0) return [];
  return [
    '',
    paint.bold('lately'),
    ...audit.map((row) => `  ${paint.dim(timeOfDay(row.at))} ${printable(auditText(row))}`),
  ];
}

/** A line of the history in words. */
function auditText({ event, data }: RemodelStatus['audit'][number]): string {
  const result = data['result'] as Readonly<Record<string, unknown>> | undefined;
  if (event === 'phase') return `${String(data['from'])} → ${String(data['to'])}`;
  if (event === 'ramp') return `ramp ${share(Number(data['ramp']))}`;
  if (event === 'reads')
    return `reads ${data['reads'] === undefined ? '' : share(Number(data['reads']))}${data['shadow'] === undefined ? '' : ` shadow ${share(Number(data['shadow']))}`}`;
  if (event === 'verify' && result !== undefined)
    return `verify ${result['byValue'] === true ? 'by value' : 'by presence'}: missing ${result['missing']}, extra ${result['extra']}, different ${result['different']} of ${result['identities']}`;
  return event;
}

function share(parts: number): string {
  return `${Number((parts / 100).toFixed(2))} %`;
}
