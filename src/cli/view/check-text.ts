/** The findings of `check`, worst first, then the plan, then the verdict. Pure. */
import type { CheckReport, Finding, Severity } from '../../routes/migrate/api.ts';
import { count, dataSize, printable } from '../../routes/migrate/report/format.ts';
import type { Paint } from '../paint.ts';

const ORDER: readonly Severity[] = ['error', 'warning', 'info'];

export function checkText(report: CheckReport, paint: Paint): readonly string[] {
  const lines: string[] = [];
  for (const severity of ORDER) {
    for (const finding of report.findings) {
      if (finding.severity === severity) lines.push(...findingLines(finding, paint));
    }
  }
  if (lines.length > 0) lines.push('');
  const { plan } = report;
  lines.push(
    paint.bold('plan'),
    `  move   ${count(plan.collections)} collections, ${count(plan.documents)} documents, ${dataSize(plan.bytes)} (1 MB = 10^6 bytes)`,
    `  read   ${printable(plan.readFrom)}`,
    `  fence  ${plan.fence}: ${printable(plan.fenceReason)}`,
    '',
    verdict(report, paint),
  );
  return lines;
}

function findingLines(finding: Finding, paint: Paint): readonly string[] {
  const colour = { error: paint.red, warning: paint.yellow, info: paint.dim }[finding.severity];
  const lines = [
    `${colour(finding.severity.padEnd(7))} ${printable(finding.message)} ${paint.dim(`[${finding.check}]`)}`,
  ];
  if (finding.remedy !== undefined) lines.push(`        ${paint.dim('→')} ${printable(finding.remedy)}`);
  return lines;
}

function verdict(report: CheckReport, paint: Paint): string {
  const errors = report.findings.filter((finding) => finding.severity === 'error').length;
  const warnings = report.findings.filter((finding) => finding.severity === 'warning').length;
  if (!report.ok) return paint.red(`not ready: ${plural(errors, 'error')} to mend; nothing has been touched`);
  return paint.green(warnings === 0 ? 'ready to run' : `ready to run, with ${plural(warnings, 'warning')} to know of`);
}

function plural(number: number, word: string): string {
  return `${number} ${word}${number === 1 ? '' : 's'}`;
}
