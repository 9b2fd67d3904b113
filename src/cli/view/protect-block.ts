/** The status of a role of `protect` as a block of lines: printed once, or drawn again and again. Pure. */
import { count, dataSize, percent, printable, timeOfDay, timeSpan } from '../../routes/migrate/report/format.ts';
import type {
  Amount,
  AuxiliaryStatus,
  DrStatus,
  FailbackStatus,
  MomentAt,
  Outcome,
  PeerStatus,
  PrimaryStatus,
  RecoveryPoint,
  RewindStatus,
  RoleStatus,
  Verdict,
  VerifyStatus,
} from '../../routes/protect/api.ts';
import type { Paint } from '../paint.ts';
import { bar, clip, joinFitting } from './layout.ts';
import { type Counter, Paces } from './protect-paces.ts';

export interface ProtectFrame {
  readonly columns: number;
  readonly paint: Paint;
  /** Nothing: it is drawn once. */
  readonly paces?: Paces;
}

const LABEL = 12;

const MEMORY: Readonly<Record<PrimaryStatus['ioFlusher'], string>> = {
  on: 'does not wait for what its user has filled',
  denied: 'no right to be an I/O flusher (CAP_SYS_RESOURCE): keep its user out of its memory',
  unknown: 'this system has no I/O flushers: keep its user out of its memory',
};

export function protectBlock(status: RoleStatus, frame: ProtectFrame): readonly string[] {
  return linesOf(status, { ...frame, paces: frame.paces ?? new Paces() }).map((line) => clip(line, frame.columns));
}

type Full = Required<ProtectFrame>;

function linesOf(status: RoleStatus, frame: Full): readonly string[] {
  switch (status.role) {
    case 'primary':
      return primaryLines(status, frame);
    case 'auxiliary':
      return auxiliaryLines(status, frame);
    case 'dr':
      return drLines(status, frame);
  }
}

function primaryLines(status: PrimaryStatus, frame: Full): readonly string[] {
  const { paint, paces } = frame;
  const { dataLag, peers, phase, hasLease, resyncBytes } = status;
  const colour = phase === 'leading' && hasLease ? paint.green : paint.yellow;
  return [
    title(status, `primary, ${colour(phase)}${hasLease ? '' : paint.red(', no lease')}, epoch ${status.epoch}`, frame),
    ...(phase === 'waiting'
      ? [field('waits', 'for a DR that is given all that the volume holds: dr … --create --replace')]
      : []),
    field('policy', `${status.policy}, mode ${modeText(status, paint)}`),
    field('operations', joined(count(status.last), `safe up to ${count(status.settled)}`, speed(paces, 'operations'))),
    field('order lag', `${count(status.orderLag)} operations`),
    field('data lag', amountText(dataLag)),
    field('ring', ringText(status.ringFill, frame)),
    ...(resyncBytes > 0
      ? [field('resync', progress(`${dataSize(resyncBytes)} to send again`, 'resync', resyncBytes, paces))]
      : []),
    ...(status.verify === undefined ? [] : [field('verify', verifyText(status.verify, frame))]),
    field('auxiliary', peerText(peers.auxiliary, paint)),
    field('shared area', sharedText(status.sharedArea, paint)),
    field('dr', peerText(peers.dr, paint)),
    field('memory', MEMORY[status.ioFlusher]),
    ...lossLines(status, frame),
  ];
}

function auxiliaryLines(status: AuxiliaryStatus, frame: Full): readonly string[] {
  const held = status.last - status.base;
  return [
    ...(status.incomplete
      ? [frame.paint.red('new: it does not hold everything yet, and cannot stand in for the primary')]
      : []),
    title(status, `auxiliary, epoch ${status.epoch}`, frame),
    field(
      'holds',
      joined(`${count(held)} operations`, `up to ${count(status.last)}`, speed(frame.paces, 'operations')),
    ),
    field('ring', ringText(status.ringFill, frame)),
    field('written by', status.mounted ? 'the primary, which has the area mounted' : 'itself'),
  ];
}

function sharedText({ way, state }: PrimaryStatus['sharedArea'], paint: Paint): string {
  if (way === 'lane') return 'sent by messages (lane)';
  if (state === 'in use') return `mounted by NBD, ${paint.green('in use')}`;
  return `by NBD, ${paint.red(state === 'refused' ? 'the auxiliary serves none: start it with --area' : 'not mounted')}`;
}

function drLines(status: DrStatus, frame: Full): readonly string[] {
  const { paint, paces } = frame;
  const { phase, stale, dataLag, suspended, bringUp, failback, peers } = status;
  return [
    ...(status.incomplete ? [paint.red('new: it does not have the whole volume yet, and cannot take over')] : []),
    title(
      status,
      `dr, ${phase === 'following' ? paint.green(phase) : paint.yellow(phase)}, epoch ${status.epoch}`,
      frame,
    ),
    field('order', joined(`up to ${count(status.last)}`, speed(paces, 'operations'))),
    field(
      'image',
      joined(
        `as of ${count(status.base)}${stale ? paint.red(', has missed operations') : ''}`,
        speed(paces, 'executed'),
      ),
    ),
    field('data lag', amountText(dataLag)),
    field('suspended', amountText(suspended)),
    field('room', ringText(status.ringFill, frame)),
    ...(bringUp === undefined ? [] : [field('pending', bringUpText(bringUp, paces))]),
    ...(failback === undefined ? [] : [field('failback', failbackText(failback, frame))]),
    ...(status.rewind === undefined ? [] : rewindLines(status.rewind, frame)),
    field('primary', peerText(peers.primary, paint)),
    field('auxiliary', peerText(peers.auxiliary, paint)),
    ...lossLines(status, frame),
  ];
}

function title({ volume }: RoleStatus, text: string, { paint }: Full): string {
  return `${paint.bold(printable(volume))}  ${text}`;
}

function field(name: string, text: string): string {
  return `  ${name.padEnd(LABEL)}${text}`;
}

function joined(...parts: readonly string[]): string {
  return parts.filter((part) => part !== '').join(', ');
}

function speed(paces: Paces, counter: Counter): string {
  const rate = paces.rate(counter);
  return rate === undefined ? '' : `${count(rate)}/s`;
}

/** What is left, at which rate, and for how long. */
function progress(text: string, counter: Counter, remaining: number, paces: Paces): string {
  const rate = paces.rate(counter);
  const left = paces.left(counter, remaining);
  return joined(
    text,
    rate === undefined || rate <= 0 ? '' : `${dataSize(rate)}/s`,
    left === undefined ? '' : `${timeSpan(left)} left`,
  );
}

function modeText({ mode }: PrimaryStatus, paint: Paint): string {
  if (mode === undefined) return 'not known yet';
  return mode === 'full' ? paint.green(mode) : paint.yellow(mode);
}

function amountText({ operations, bytes, seconds }: Amount): string {
  return `${count(operations)} operations, ${dataSize(bytes)}, ${timeSpan(seconds)}`;
}

function ringText(fill: number, { columns, paint }: Full): string {
  const share = `${(fill * 100).toFixed(fill > 0 && fill < 0.1 ? 1 : 0)} %`;
  const colour = fill > 0.9 ? paint.red : fill > 0.5 ? paint.yellow : paint.green;
  const width = Math.max(8, Math.min(40, columns - LABEL - 12));
  return `${colour(bar(fill, 1, width))} ${share}`;
}

function peerText({ connected, order, data }: PeerStatus, paint: Paint): string {
  const state = connected ? paint.green('connected') : paint.red('not connected');
  return `${state}, sent ${dataSize(order.sent)} at once and ${dataSize(data.sent)} in its own time`;
}

function bringUpText({ operations, bytes }: Amount, paces: Paces): string {
  const text = `${count(operations)} operations, ${dataSize(bytes)}; reads that need them bring them up`;
  return progress(text, 'bringUp', bytes, paces);
}

function failbackText(
  { step, bytes, remainingBytes, comparedShare }: FailbackStatus,
  { paces, columns }: Full,
): string {
  const parts = [
    `${step}, ${dataSize(bytes)} sent`,
    step === 'ended' ? '' : progress(`${dataSize(remainingBytes)} to send`, 'failback', remainingBytes, paces),
    `${(comparedShare * 100).toFixed(0)} % compared`,
  ];
  return joinFitting(parts, columns - LABEL - 2, ', ');
}

function verifyText({ comparedBytes, totalBytes, differing, mended }: VerifyStatus, { paces, paint }: Full): string {
  const text = `${percent(comparedBytes, totalBytes)} of ${dataSize(totalBytes)} compared`;
  return joined(
    progress(text, 'verify', totalBytes - comparedBytes, paces),
    differing > 0 ? paint.red(`${differing} chunks differ`) : '',
    mended > 0 ? `${mended} sent again` : '',
  );
}

function rewindLines({ reach, fill, copy }: RewindStatus, { paces }: Full): readonly string[] {
  const log = `log ${(fill * 100).toFixed(0)} % full`;
  const range =
    reach === null ? 'to no moment now' : `to any operation from ${momentText(reach.from)} to ${momentText(reach.to)}`;
  const copying = copy && progress(`${dataSize(copy.bytes)} written`, 'rewind', copy.totalBytes - copy.bytes, paces);
  return [field('rewind', joined(range, log)), ...(copying ? [field('', copying)] : [])];
}

function momentText({ sequence, at }: MomentAt): string {
  return at === null ? String(sequence) : `${sequence} (${at})`;
}

const COLOURS: Readonly<Record<Verdict, 'green' | 'yellow' | 'red' | 'dim'>> = {
  nothing: 'green',
  operations: 'red',
  waits: 'yellow',
  refused: 'red',
  volume: 'red',
  missing: 'yellow',
  unknown: 'dim',
};

function lossLines(
  {
    recoveryPoints,
    outcomes,
  }: { readonly recoveryPoints: readonly RecoveryPoint[]; readonly outcomes: readonly Outcome[] },
  { paint, columns }: Full,
): readonly string[] {
  const points = recoveryPoints.map((point) => `    without ${point.lost.join(' and ')}: ${pointText(point)}`);
  const fails = outcomes.flatMap(({ fails, costs, verdict }) => {
    const [first, ...more] = wrapped(costs, columns - 6, fails.length + 6);
    const colour = paint[COLOURS[verdict]];
    return [`    ${fails}: ${colour(first ?? '')}`, ...more.map((line) => `      ${colour(line)}`)];
  });
  return [
    ...(points.length > 0 ? [`  ${paint.bold('recovery point now')}`, ...points] : []),
    ...(fails.length > 0 ? [`  ${paint.bold('if this fails now')}`, ...fails] : []),
  ];
}

/** Words in lines of that width, the first of which has begun already. */
function wrapped(text: string, width: number, begun: number): readonly string[] {
  const lines: string[] = [''];
  for (const word of text.split(' ')) {
    const line = lines.at(-1) as string;
    const used = line.length + (lines.length === 1 ? begun - 6 : 0);
    if (used > 0 && used + 1 + word.length > width) lines.push(word);
    else lines[lines.length - 1] = line === '' ? word : `${line} ${word}`;
  }
  return lines;
}

function pointText({ sequence, at, missing }: RecoveryPoint): string {
  if (sequence === null) return 'none: the DR has missed operations';
  const when = at === null ? '' : ` of ${timeOfDay(at)}`;
  return missing.operations === 0
    ? `operation ${sequence}${when}, nothing missing`
    : `operation ${sequence}${when}, without ${amountText(missing)}`;
}
