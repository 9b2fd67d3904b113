/** How a rehearsal goes and what it found, for people. */
import { CODES } from '../../kernel/codes.ts';
import { printable } from '../../routes/migrate/report/format.ts';
import type {
  ProbeResult,
  RehearseEvent,
  RehearseProgress,
  RehearseResult,
} from '../../routes/relocate/rehearse/api.ts';
import type { Paint } from '../paint.ts';
import { clip, column } from './layout.ts';

/** Commands may be long; their ends tell them apart. */
const WIDEST = 60;

export function rehearseEventLine(event: RehearseEvent, paint: Paint): string {
  switch (event.kind) {
    case 'waiting':
      return paint.dim('waits for the end of a round of the source');
    case 'held':
      return event.by === 'receiver'
        ? `the files stand still (after ${seconds(event.seconds)}); the source runs on, its changes wait`
        : 'the files stand still: no receiver runs, and none may start meanwhile';
    case 'initramfs':
      return `initramfs of kernel ${printable(event.kernel)} for the clone made (${seconds(event.seconds)})`;
    case 'cloned':
      return `clone of ${event.devices.map(printable).join(', ')}`;
    case 'started':
      return `clone started (${event.accelerator === 'kvm' ? 'KVM' : 'emulated: slow'})`;
    case 'kernel':
      return `${at(event.seconds)} its kernel runs`;
    case 'init':
      return `${at(event.seconds)} its root is mounted, its services start`;
    case 'system':
      return `${at(event.seconds)} it says of itself: ${printable(event.state)}`;
    case 'probe':
      return `${at(event.seconds)} ${paint.green('✓')} ${printable(event.probe)}`;
  }
}

export function rehearseProgressLines(progress: RehearseProgress, width: number): readonly string[] {
  const { probes } = progress;
  const open = probes.filter(({ ok }) => !ok).map(({ probe }) => printable(probe));
  const waits = probes.length === 0 ? 'its boot' : open.join(', ');
  return [
    clip(`${at(progress.seconds)} of ${progress.timeout} s at most; waits for ${waits}`, width),
    clip(`  ${printable(progress.said)}`, width),
  ];
}

export function rehearseText(result: RehearseResult, paint: Paint): readonly string[] {
  const lines = [''];
  const wide = Math.min(WIDEST, Math.max(5, ...result.probes.map(({ probe }) => printable(probe).length)));
  if (result.probes.length > 0) lines.push(paint.bold(`${'Probe'.padEnd(wide)}     After  Answer`));
  for (const one of result.probes) lines.push(probeLine(one, wide, paint));
  if (result.system !== undefined)
    lines.push(`The clone came up as ${printable(result.system.state)} after ${seconds(result.system.seconds)}`);
  for (const unit of result.failedUnits) lines.push(`${paint.yellow('!')} ${printable(unit)} failed in it`);
  if (result.betweenRounds !== 'yes')
    lines.push(
      `${paint.yellow('!')} ${
        result.betweenRounds === 'no'
          ? 'The source was cut off in the middle of a round: the clone is of no one moment'
          : 'Nobody knows whether the last round of the source was a whole one'
      }`,
    );
  const took = `the source waited ${seconds(result.heldSeconds)}`;
  if (result.outcome === 'passed')
    lines.push(paint.green(`passed: ${printable(result.distribution)}, kernel ${printable(result.kernel)} (${took})`));
  else
    lines.push(
      paint.red(`GW6402 ${CODES.GW6402.title}: ${printable(result.because ?? '')} (${took})`),
      `  ${paint.bold('What to do:')} ${CODES.GW6402.remedy}`,
      ...(result.serial === undefined ? [] : [paint.dim(`  serial log: ${printable(result.serial)}`)]),
      ...(result.lastWords ?? []).map((line) => paint.dim(`  │ ${printable(line)}`)),
    );
  return lines;
}

function probeLine({ probe, ok, seconds: after, detail }: ProbeResult, wide: number, paint: Paint): string {
  const time = after === undefined ? '—' : seconds(after);
  const mark = ok ? paint.green('✓') : paint.red('✗');
  return `${column(printable(probe), wide)}  ${time.padStart(8)}  ${mark} ${printable(detail)}`;
}

function seconds(value: number): string {
  return `${value.toFixed(1)} s`;
}

function at(value: number): string {
  return `${value.toFixed(0).padStart(4)} s`;
}
