/** Progress of work on a storage medium, as a line for logs and a block for terminals. Pure. */
import type { ExportResult, MediumProgress } from '../../routes/migrate/api.ts';
import { count, dataSize, percent, printable, timeOfDay, timeSpan } from '../../routes/migrate/report/format.ts';
import type { Paint } from '../paint.ts';
import { bar, clip } from './layout.ts';

export function mediumLine(progress: MediumProgress): string {
  return `${timeOfDay(progress.at)} ${facts(progress).join(', ')}`;
}

export function mediumBlock(progress: MediumProgress, columns: number): readonly string[] {
  const { bytes, bytesTotal } = progress;
  const lines = [`${progress.work} ${printable(progress.medium)}`, facts(progress).join('   ')];
  if (bytesTotal > 0) lines.splice(1, 0, bar(bytes, bytesTotal, Math.min(60, Math.max(10, columns - 2))));
  return lines.map((line) => clip(line, columns));
}

function facts(progress: MediumProgress): string[] {
  const { bytes, bytesTotal, docs } = progress;
  const parts = [progress.step];
  if (bytesTotal > 0) parts.push(`${percent(bytes, bytesTotal)} (${dataSize(bytes)} of ${dataSize(bytesTotal)})`);
  else if (bytes > 0) parts.push(dataSize(bytes));
  if (docs > 0) parts.push(`${count(docs)} documents`);
  if (bytes > 0) parts.push(`${progress.mbPerSecond.toFixed(1)} MB/s`);
  if (progress.secondsLeft !== null) parts.push(`${timeSpan(progress.secondsLeft)} left`);
  if (progress.throttled !== null) parts.push(`throttled: ${printable(progress.throttled)}`);
  if (progress.fault !== null) parts.push(`waiting out ${progress.fault.code}: ${printable(progress.fault.message)}`);
  return parts;
}

const MOST_INEXACT = 10;

export function exportText(result: ExportResult, paint: Paint): readonly string[] {
  const { timePoint, inexact } = result;
  const rate = result.seconds > 0 ? ` (${(result.bytes / 1e6 / result.seconds).toFixed(0)} MB/s)` : '';
  const lines = [
    printable(result.message),
    `time point ${result.timePointAt} (${timePoint.t}:${timePoint.i}), ${result.snapshot ? 'exactly as of it' : 'with the log that leads on from it'}`,
    `${dataSize(result.bytes)} of documents, ${dataSize(result.mediumBytes)} on the medium, ${timeSpan(result.seconds)}${result.already ? '' : rate}`,
    `${count(result.logEntries)} log ${result.logEntries === 1 ? 'entry' : 'entries'}; a run can go on from it while the source's log reaches back to ${result.logEndsAt}`,
  ];
  for (const { namespace, why } of inexact.slice(0, MOST_INEXACT)) {
    lines.push(paint.dim(printable(`not as of the time point: ${namespace}${why === '' ? '' : ` (${why})`}`)));
  }
  if (inexact.length > MOST_INEXACT) lines.push(`and ${inexact.length - MOST_INEXACT} more; --json lists all`);
  return lines;
}
