/** What a live move says, for people. Pure. */
import { count, dataSize, printable, timeSpan } from '../../routes/migrate/report/format.ts';
import type { CutoverResult, MoveStatus, Round } from '../../routes/relocate/api.ts';
import type { Paint } from '../paint.ts';

type Phase = MoveStatus['phase'];

export const PHASE_WORDS: Readonly<Record<Phase, string>> = {
  copying: 'the first copy is made',
  following: 'the source is followed',
  stopping: 'the source’s services are being stopped',
  draining: 'nobody has the services: the last changes are sent and proved',
  starting: 'the target’s services are being started',
  running: 'the target has the services; commit, or rollback',
  'going-back': 'the target’s services are being stopped',
  resuming: 'the source’s services are made to go on',
  committing: 'what stood still on the source is being ended',
  committed: 'the target has the services for good',
};

export function roundText({ entries, sent, sentBytes, removed, moved, unsettled, seconds }: Round): string {
  const what =
    sent + removed === 0 ? 'nothing to send' : `${count(sent)} sent, ${dataSize(sentBytes)}, ${count(removed)} removed`;
  const renamed = moved > 0 ? `, ${count(moved)} renamed` : '';
  const again = unsettled > 0 ? `, ${count(unsettled)} to look at again` : '';
  return `${count(entries)} files, ${what}${renamed}${again} (${timeSpan(seconds)})`;
}

export function moveStatusText(status: MoveStatus, paint: Paint): readonly string[] {
  const { name, phase, holds, since, isRunning, target, roundCount, lastRound, lagSeconds, lookedAt } = status;
  const { undone, gapMs, certificate } = status;
  const lines = [`${paint.bold(name)} to ${target}: ${phase}, ${PHASE_WORDS[phase]}  ${paint.dim(`since ${since}`)}`];
  lines.push(`  services   ${holds === 'nobody' ? 'of nobody' : `at the ${holds}`}`);
  if (lastRound) lines.push(`  round ${roundCount}`.padEnd(13) + roundText(lastRound));
  if (lagSeconds !== undefined) lines.push(`  lag        ${timeSpan(lagSeconds)}`);
  if (phase === 'following')
    lines.push(
      `  proof      ${lookedAt === undefined ? 'both sides are still to be read' : `both sides were read, last at ${lookedAt}`}`,
    );
  if (gapMs !== undefined) lines.push(`  gap        ${timeSpan(gapMs / 1000)}`);
  if (certificate)
    for (const { source, target: to, root } of certificate.mappings)
      lines.push(paint.dim(`  ${source} = ${to}  sha256-tree-1 ${root}`));
  if (undone !== undefined) lines.push(paint.yellow(`  the last cutover was undone: ${printable(undone)}`));
  if (!isRunning && phase !== 'committed')
    lines.push(paint.yellow('  the agent does not run; start it again with the same words'));
  return lines;
}

export function cutoverText(
  { outcome, steps, gapMs, parts, certificate }: CutoverResult,
  paint: Paint,
): readonly string[] {
  if (outcome === 'dry-run') return ['would:', ...steps.map((step) => `  ${printable(step)}`), 'nothing was stopped'];
  const lines = [paint.green('the target has the services')];
  if (gapMs !== undefined && parts) {
    const { stopMs, drainMs, proofMs, startMs } = parts;
    const each = [
      `stop ${part(stopMs)}`,
      `last changes ${part(drainMs)}`,
      `proof ${part(proofMs)}`,
      `start ${part(startMs)}`,
    ];
    lines.push(`  gap ${part(gapMs)}: ${each.join(', ')}`);
  }
  if (certificate) {
    lines.push(`  proven equal: ${count(certificate.entries)} files, ${dataSize(certificate.bytes)}`);
    for (const { source, target, root } of certificate.mappings)
      lines.push(paint.dim(`  ${source} = ${target}  sha256-tree-1 ${root}`));
  }
  lines.push('  next: godwit relocate commit, or rollback');
  return lines;
}

function part(ms: number): string {
  return timeSpan(ms / 1000);
}
