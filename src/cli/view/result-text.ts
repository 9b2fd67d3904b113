/** What a command answered, in words. Pure. */
import type { Drift } from '../../kernel/ports.ts';
import type { CommandResult, Evidence, MigrateStatus } from '../../routes/migrate/api.ts';
import { printable, timeSpan } from '../../routes/migrate/report/format.ts';
import type { Paint } from '../paint.ts';

const MOST_DRIFT = 20;
const MOST_EVIDENCE = 6;

export function resultText(result: CommandResult, paint: Paint): readonly string[] {
  const lines = [printable(result.message)];
  const drift = result.drift ?? [];
  lines.push(...drift.slice(0, MOST_DRIFT).map((row) => driftLine(row, paint)));
  if (drift.length > MOST_DRIFT) lines.push(`  and ${drift.length - MOST_DRIFT} more; --json lists all`);
  const evidence = result.evidence ?? [];
  if (evidence.length > 0) {
    lines.push('how differences were judged, for a sample:');
    lines.push(...evidence.slice(0, MOST_EVIDENCE).map((row) => evidenceLine(row, paint)));
  }
  if (result.stallMs !== undefined) lines.push(`writes were refused for ${timeSpan(result.stallMs / 1000)}`);
  if (result.report !== undefined) lines.push(`report: ${result.report}`);
  return lines;
}

function driftLine(row: Drift, paint: Paint): string {
  const digests = [row.sourceDigest, row.targetDigest].map((digest) => digest ?? '-').join(' / ');
  const hasDigest = row.sourceDigest !== undefined || row.targetDigest !== undefined;
  const facts = [hasDigest ? digests : '', row.note ?? ''].filter((fact) => fact !== '').join('  ');
  return `  ${paint.red(row.kind.padEnd(9))} ${printable(row.unit)} ${printable(row.key)}  ${paint.dim(printable(facts))}`.trimEnd();
}

function evidenceLine(row: Evidence, paint: Paint): string {
  const verdict = row.verdict === 'late' ? paint.yellow('late ') : paint.red('wrong');
  const entry = row.entry ? `; ${row.entry.kind} at ${row.entry.at}` : '';
  return `  ${verdict} ${printable(row.unit)} ${printable(row.key)}  ${paint.dim(`${row.reason}${entry}`)}`;
}

/** One line a run, when a state directory holds several. */
export function runList(statuses: readonly MigrateStatus[], paint: Paint): readonly string[] {
  const width = Math.max(3, ...statuses.map((status) => status.run.length));
  return [
    ...statuses.map(
      (status) =>
        `${printable(status.run).padEnd(width)}  ${paint.cyan(status.phase.padEnd(12))}  ${status.runner.alive ? 'running' : 'no process'}  ${paint.dim(`${printable(status.from)} → ${printable(status.to)}`)}`,
    ),
    '',
    'godwit migrate status --run NAME shows one of them.',
  ];
}
