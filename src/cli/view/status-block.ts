/** One look at a run as a block of lines, for terminals of any size. Pure. */
import type { CollectionStatus, MigrateStatus } from '../../routes/migrate/api.ts';
import { count, dataSize, percent, printable, timeOfDay, timeSpan } from '../../routes/migrate/report/format.ts';
import type { Paint } from '../paint.ts';
import { bar, clip, column, joinFitting, visibleLength } from './layout.ts';
import { movesOf, PHASE_WORDS } from './moves.ts';

export interface Frame {
  readonly columns: number;
  readonly rows: number;
  readonly paint: Paint;
}

const MOST_COLLECTIONS = 8;
const LINES_AROUND = 9;

export function statusBlock(status: MigrateStatus, frame: Frame): readonly string[] {
  const width = Math.max(1, frame.columns);
  const lines = [
    header(status, frame),
    movesLine(status, frame),
    '',
    ...copyLines(status, frame),
    ...freezeLine(status, frame),
    ...logLine(status, width),
    ...syncLine(status, width),
    ...verifyLine(status, frame),
    ...cutoverLine(status, frame),
    ...attention(status, frame),
  ];
  return lines.map((line) => clip(line, width));
}

function header(status: MigrateStatus, { columns, paint }: Frame): string {
  const elapsed = (Date.parse(status.at) - Date.parse(status.startedAt)) / 1000;
  const left = `${paint.bold(printable(status.run))}  ${paint.cyan(status.phase)}  ${paint.dim(PHASE_WORDS[status.phase])}`;
  const right = Number.isFinite(elapsed) ? timeSpan(Math.max(0, elapsed)) : '';
  const gap = columns - visibleLength(left) - right.length;
  return gap >= 2 ? `${left}${' '.repeat(gap)}${right}` : left;
}

function movesLine(status: MigrateStatus, { columns, paint }: Frame): string {
  const moves = movesOf(status);
  const long = columns >= 74;
  const shown = moves.map(({ name, state }) => {
    const text = long || state === 'under way' ? ` ${name}` : '';
    if (state === 'done') return paint.green(`✔${text}`);
    return state === 'under way' ? paint.cyan(`●${text}`) : paint.dim(`○${text}`);
  });
  return shown.join(paint.dim(long ? ' ── ' : '─'));
}

function copyLines(status: MigrateStatus, frame: Frame): readonly string[] {
  const { copy, phase } = status;
  const { columns, paint } = frame;
  const moving = phase === 'copying';
  const total = [
    `copy   ${columns >= 60 ? `${bar(copy.bytes, copy.bytesTotal, barWidth(columns))} ` : ''}${percent(copy.bytes, copy.bytesTotal)}`,
    `${dataSize(copy.bytes)} of ${dataSize(copy.bytesTotal)}`,
    moving ? `${copy.mbPerSecond.toFixed(1)} MB/s` : '',
    moving && copy.secondsLeft !== null ? `${timeSpan(copy.secondsLeft)} left` : '',
    moving ? `${count(copy.docsPerSecond)} docs/s` : `${count(copy.docs)} docs`,
  ];
  const lines = [joinFitting(total, columns)];
  if (!moving) return lines;
  const around = LINES_AROUND + Number(status.freeze !== null) + Number(status.sync.mode === 'periodic');
  const room = Math.max(0, Math.min(MOST_COLLECTIONS, frame.rows - around));
  const chosen = notable(copy.collections, room);
  lines.push(...chosen.map((collection) => collectionLine(collection, columns, paint)));
  const rest = copy.collections.filter((collection) => !chosen.includes(collection));
  if (rest.length > 0) lines.push(paint.dim(`  and ${rest.length} more: ${tally(rest)}`));
  return lines;
}

/** What is being worked on first, then the largest; kept in that order so that lines do not jump. */
function notable(collections: readonly CollectionStatus[], room: number): readonly CollectionStatus[] {
  const rank = { indexing: 0, copying: 0, waiting: 1, ready: 2 } as const;
  return [...collections]
    .sort(
      (a, b) => rank[a.state] - rank[b.state] || b.bytesTotal - a.bytesTotal || a.namespace.localeCompare(b.namespace),
    )
    .slice(0, room);
}

function tally(collections: readonly CollectionStatus[]): string {
  const states = ['copying', 'indexing', 'waiting', 'ready'] as const;
  return states
    .map((state) => ({ state, number: collections.filter((collection) => collection.state === state).length }))
    .filter(({ number }) => number > 0)
    .map(({ state, number }) => `${number} ${state}`)
    .join(', ');
}

function collectionLine(collection: CollectionStatus, columns: number, paint: Paint): string {
  const name = column(printable(collection.namespace), Math.max(8, Math.min(32, Math.floor(columns / 3))));
  const { bytes, bytesTotal } = collection;
  const state = collection.state === 'ready' ? paint.green('ready   ') : paint.dim(collection.state.padEnd(8));
  const share = percent(bytes, bytesTotal).padStart(5);
  const graph = columns >= 60 ? `${bar(bytes, bytesTotal, Math.floor(barWidth(columns) / 2))} ` : '';
  return joinFitting(
    [`  ${name} ${graph}${share}`, state, paint.dim(`${dataSize(bytes)} of ${dataSize(bytesTotal)}`)],
    columns,
    '  ',
  );
}

function barWidth(columns: number): number {
  return Math.max(8, Math.min(24, columns - 76));
}

function logLine({ log, phase }: MigrateStatus, columns: number): readonly string[] {
  // After the confirmation nothing flows any more.
  if (['created', 'confirmed', 'cleaning', 'done', 'cancelled'].includes(phase)) return [];
  const parts = [
    `log    ${log.lagSeconds === null ? (phase === 'copying' ? 'kept, applied after the copy' : 'kept') : `lag ${timeSpan(log.lagSeconds)}`}`,
    `spool ${dataSize(log.spoolBytes)}`,
    log.entriesApplied > 0 ? `${count(log.entriesApplied)} entries applied` : '',
    log.entriesPerSecond > 0 ? `${count(log.entriesPerSecond)}/s` : '',
  ];
  return [joinFitting(parts, columns)];
}

function syncLine({ sync }: MigrateStatus, columns: number): readonly string[] {
  if (sync.mode === 'real-time') return [];
  const { last, behind } = sync;
  const now = {
    idle: sync.nextAt === null ? '' : `next at ${timeOfDay(sync.nextAt)}`,
    round: 'round under way',
    'real-time': 'in real time now',
  };
  const parts = [
    `sync   ${sync.schedule ?? 'in rounds'}`,
    now[sync.state],
    last === null ? '' : `round ${last.number} moved ${count(last.entries)} entries, ${dataSize(last.bytes)}`,
    behind === null
      ? ''
      : `behind by ${count(behind.events)} events, ${dataSize(behind.bytes)}, ${timeSpan(behind.seconds)}`,
  ];
  return [joinFitting(parts, columns)];
}

function freezeLine({ freeze }: MigrateStatus, { columns }: Frame): readonly string[] {
  if (freeze === null) return [];
  const parts = [
    `frozen ${printable(freeze.member)}`,
    freeze.state === 'held' ? `writes stopped for ${timeSpan(freeze.heldSeconds)}` : freezeEnd(freeze),
    `${freeze.exact ? 'exactly' : 'from'} ${timeOfDay(freeze.timePointAt)}`,
    freeze.cutShort === null ? '' : `cut short: ${printable(freeze.cutShort)}`,
  ];
  return [joinFitting(parts, columns)];
}

function freezeEnd(freeze: NonNullable<MigrateStatus['freeze']>): string {
  if (freeze.caughtUpSeconds !== null)
    return `let go after ${timeSpan(freeze.heldSeconds)}, caught up in ${timeSpan(freeze.caughtUpSeconds)}`;
  return `let go, ${freeze.behindSeconds === null ? 'catching up' : `${timeSpan(freeze.behindSeconds)} behind`}`;
}

function verifyLine({ verify }: MigrateStatus, { columns, paint }: Frame): readonly string[] {
  if (verify.state === 'none') return [];
  const when = verify.at === null ? '' : `at ${timeOfDay(verify.at)}`;
  if (verify.state === 'running') {
    return [
      joinFitting([`verify ${percent(verify.docs, verify.docsTotal)}`, `${count(verify.docs)} docs compared`], columns),
    ];
  }
  const verdict = verify.state === 'equal' ? paint.green('equal') : paint.red(`${count(verify.drift)} differences`);
  return [joinFitting([`verify ${verdict}`, `${count(verify.docs)} docs compared`, when], columns)];
}

function cutoverLine({ cutover }: MigrateStatus, { columns }: Frame): readonly string[] {
  if (cutover.stallMs === null && cutover.switchedAt === null) return [];
  const parts = [
    cutover.switchedAt === null ? '' : `switched at ${timeOfDay(cutover.switchedAt)}`,
    cutover.stallMs === null ? '' : `writes were refused for ${timeSpan(cutover.stallMs / 1000)}`,
    cutover.fence === null ? '' : `fence ${cutover.fence}`,
  ];
  return [`cut    ${joinFitting(parts, Math.max(1, columns - 7))}`];
}

function attention(status: MigrateStatus, { paint }: Frame): readonly string[] {
  const lines: string[] = [];
  const { freeze, runner } = status;
  if (freeze?.state === 'held' && !runner.alive)
    lines.push(
      paint.red(
        `${printable(freeze.member)} may still be locked: godwit migrate unfreeze --run ${printable(status.run)} --from …`,
      ),
    );
  if (status.paused !== null) lines.push(paint.yellow(`paused: ${printable(status.paused)}`));
  if (status.throttled !== null) lines.push(paint.yellow(`throttled: ${printable(status.throttled)}`));
  if (status.fault !== null) {
    const waited = timeSpan(Math.max(0, Date.parse(status.at) - Date.parse(status.fault.since)) / 1000);
    lines.push(paint.yellow(`waiting out ${status.fault.code} for ${waited}: ${printable(status.fault.message)}`));
  }
  if (!status.runner.alive && !['done', 'cancelled', 'created'].includes(status.phase)) {
    lines.push(paint.yellow('no process works on this run now; `godwit migrate run` goes on'));
  }
  return lines;
}
