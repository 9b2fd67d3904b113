/** What a command of `remodel` answered, for people. Pure. */

import { printable, timeOfDay } from '../../routes/migrate/report/format.ts';
import type {
  GateResult,
  RemodelEvent,
  RemodelFinding,
  RemodelResult,
  VerifyReport,
} from '../../routes/remodel/api.ts';
import type { Paint } from '../paint.ts';

const EXAMPLES = 10;

export function remodelResultText(result: RemodelResult, paint: Paint): readonly string[] {
  const colour = result.ok ? paint.green : paint.red;
  const lines: string[] = [];
  for (const gate of result.dryRun || !result.ok ? (result.gates ?? []) : []) lines.push(gateLine(gate, paint));
  if (result.would !== undefined)
    lines.push(paint.bold('would'), ...result.would.map((line) => `  ${printable(line)}`));
  for (const report of result.verify ?? []) lines.push(...exampleLines(report, paint));
  for (const finding of result.findings ?? []) lines.push(...findingLines(finding, paint));
  lines.push(`${colour(printable(result.message))}  ${paint.dim(`[${result.remodel}: ${result.phase}]`)}`);
  if (result.proof !== undefined) lines.push(paint.dim(`proof ${result.proof}`));
  return lines;
}

export function gateLine({ name, holds, measured }: GateResult, paint: Paint): string {
  return `${holds ? paint.green('✓') : paint.red('✗')} ${name}  ${paint.dim(printable(measured))}`;
}

export function remodelEventLine(event: RemodelEvent, paint: Paint): string {
  return `${paint.dim(timeOfDay(event.at))} ${printable(event.message)}`;
}

function exampleLines({ examples }: VerifyReport, paint: Paint): readonly string[] {
  return examples.slice(0, EXAMPLES).map(({ identity, kind, columns }) => {
    const which = columns.length === 0 ? '' : `: ${columns.join(', ')}`;
    return `${paint.red(kind.padEnd(11))} ${printable(identity)}${which}`;
  });
}

function findingLines({ severity, check, message, remedy }: RemodelFinding, paint: Paint): readonly string[] {
  const colour = { error: paint.red, warning: paint.yellow, info: paint.dim }[severity];
  const lines = [`${colour(severity.padEnd(7))} ${printable(message)} ${paint.dim(`[${check}]`)}`];
  if (remedy !== undefined) lines.push(`        ${paint.dim('→')} ${printable(remedy)}`);
  return lines;
}
