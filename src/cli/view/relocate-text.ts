/** What `relocate` says, for people. Pure. */
import { CODES } from '../../kernel/codes.ts';
import { count, dataSize, percent, printable, timeSpan } from '../../routes/migrate/report/format.ts';
import type { AgentProgress, AgentResult, RelocateEvent, Round } from '../../routes/relocate/api.ts';
import type { Paint } from '../paint.ts';
import { PHASE_WORDS, roundText } from './move-text.ts';

const EXAMPLES = 10;

/** What is left out on purpose, and what bars a proof, in words. */
const NOTES: Readonly<Record<string, string>> = {
  socket: 'sockets left out: whoever listens on them makes them anew',
  memory: 'file systems in memory left out; their mount points are there',
  network: 'file systems of other machines left out; their mount points are there',
  view: 'file systems that show what other files hold left out; their mount points are there',
  hidden: 'directories hold files below a mount, which are not carried',
  unseen: 'mount points below which nobody may look',
  deleted: 'files were deleted and are still open: they end with the processes that have them open',
  own: 'directories of Godwit itself left out',
  held: 'files that could not be opened were read all the same',
  unreadable: 'files could not be read',
  refused: 'things that the target could not keep',
  changing: 'files changed while they were read',
};

export function progressLines(progress: AgentProgress): readonly string[] {
  if (progress.lastRound !== undefined) return followingLines(progress.round, progress.lastRound, progress.lagSeconds);
  const { doing, round, entries, bytes, total, secondsLeft, bytesPerSecond, entriesPerSecond } = progress;
  const parts = [
    `${doing}${doing === 'copying' ? `, round ${round}` : ''}`,
    `${count(entries)} files, ${dataSize(bytes)}`,
    `${count(entriesPerSecond)} files/s, ${dataSize(bytesPerSecond)}/s`,
  ];
  if (total !== undefined) parts.push(percent(bytes + entries, total.bytes + total.entries));
  if (secondsLeft !== undefined) parts.push(`about ${timeSpan(secondsLeft)} left`);
  return [parts.join('   ')];
}

function followingLines(round: number, last: Round, lagSeconds = 0): readonly string[] {
  return [`following, round ${round}: ${roundText(last)}   lag ${timeSpan(lagSeconds)}`];
}

export function relocateEventLine(event: RelocateEvent, paint: Paint): string {
  switch (event.kind) {
    case 'round':
      return `round ${event.round}: ${roundText(event.counts)}`;
    case 'phase': {
      const line = `${event.phase}: ${PHASE_WORDS[event.phase]}`;
      return event.because === undefined ? line : paint.yellow(printable(`${line}; ${event.because}`));
    }
    case 'capture':
      if (event.because === undefined) return 'changes are captured as they happen';
      return paint.yellow(printable(`changes are not captured, so every round looks at everything; ${event.because}`));
    case 'no-guard':
      return paint.yellow(
        printable(
          `were the agent killed now, it would have to be started again for the services to go on; ${event.because}`,
        ),
      );
    case 'cutover':
      return paint.green(`cut over; the services stood still for ${timeSpan(event.gapMs / 1000)}`);
    case 'services':
      return `the services here are ${event.state}`;
    case 'lost':
      return paint.yellow(printable(`${event.message}; again in ${timeSpan(event.waitMs / 1000)}`));
    case 'proof':
      return event.equal ? 'both sides are equal' : paint.red(`${count(event.differences)} names differ`);
    case 'listening':
      return `listening on ${event.address}`;
    case 'source':
      return event.resumedAt > 0 ? `a source is here; going on after bundle ${event.resumedAt}` : 'a source is here';
    case 'source-ended':
      return `the source has left after ${event.bundles} bundles`;
    case 'refused':
      return paint.yellow(printable(event.message));
    case 'note':
      return paint.yellow(printable(`${event.path}: ${event.why}${event.detail ? ` ${event.detail}` : ''}`));
  }
}

export function agentResultText(result: AgentResult, paint: Paint): readonly string[] {
  const lines: string[] = [];
  for (const [why, { count: many, examples }] of Object.entries(result.notes)) {
    lines.push(`${count(many)} ${NOTES[why] ?? why}`);
    for (const example of examples.slice(0, EXAMPLES)) lines.push(paint.dim(`  ${printable(example)}`));
    if (many > EXAMPLES)
      lines.push(paint.dim(`  and ${count(many - Math.min(EXAMPLES, examples.length))} more; --json names a hundred`));
  }
  for (const difference of result.differences.slice(0, EXAMPLES)) lines.push(paint.red(`  ${printable(difference)}`));
  if (result.differenceCount > EXAMPLES)
    lines.push(paint.dim(`  and ${count(result.differenceCount - EXAMPLES)} more differences`));
  if (result.outcome === 'dry-run') {
    const [round] = result.rounds;
    lines.push(`would copy ${count(round?.entries ?? 0)} files, ${dataSize(round?.bytes ?? 0)}; nothing was sent`);
    return lines;
  }
  const seconds = timeSpan(result.durationSeconds);
  if (result.certificate !== undefined) {
    const { entries, bytes, mappings, at } = result.certificate;
    lines.push(
      paint.green(
        `${result.outcome}: ${count(entries)} files, ${dataSize(bytes)} ${result.outcome === 'proven' ? 'are' : 'were, at the cutover,'} the same on both sides (${seconds})`,
      ),
    );
    for (const { source, target, root } of mappings)
      lines.push(paint.dim(`  ${source} = ${target}  sha256-tree-1 ${root}  ${at}`));
  } else {
    lines.push(paint.red(`GW6401 ${CODES.GW6401.title}: ${result.because ?? ''} (${seconds})`));
    lines.push(`  ${paint.bold('What to do:')} ${CODES.GW6401.remedy}`);
  }
  return lines;
}
