/** What the roles of `protect` say, for people. Pure. */

import { count, dataSize, printable } from '../../routes/migrate/report/format.ts';
import type {
  ChunkAt,
  FailbackResult,
  PromotionResult,
  ProtectEvent,
  RewindResult,
  VerifyResult,
} from '../../routes/protect/api.ts';
import type { Paint } from '../paint.ts';

/** Losses that are named one by one; all of them are in the JSON. */
const MOST_NAMED = 20;

export function protectEventLine({ at, kind, data }: ProtectEvent, paint: Paint): string {
  const facts = Object.entries(data).map(([name, value]) => `${name}=${printable(wordOf(value))}`);
  return `${paint.dim(at.slice(11, 19))}Z ${kind} ${facts.join(' ')}`.trimEnd();
}

export function failbackText(result: FailbackResult, paint: Paint): readonly string[] {
  const { seconds, bytes, unexpected, stalledMs } = result;
  return [
    paint.green(`Given back in ${seconds.toFixed(1)} s: the primary leads, and this side is its DR again`),
    `  ${dataSize(bytes)} were sent; all else was the same on both sides, and compared`,
    `  writers waited ${(stalledMs / 1000).toFixed(1)} s for the switch`,
    ...(unexpected > 0
      ? [paint.red(`  ${count(unexpected)} chunks were different that nobody had changed: look at the disks`)]
      : []),
  ];
}

export function verifiedText(result: VerifyResult, paint: Paint): readonly string[] {
  const { differing, mended, bytes, seconds, from, to, repeated } = result;
  const isEqual = differing.length === 0;
  return [
    isEqual
      ? paint.green(`Equal: the image at the DR is the volume, all ${dataSize(bytes)} of it`)
      : paint.red(`Different: ${differing.length} chunks of the image at the DR are not what the volume holds`),
    `  compared in ${seconds.toFixed(1)} s, as of operations ${from} to ${to}, while both lived`,
    ...(repeated > 0 ? [`  ${count(repeated)} comparisons were made again at a later operation`] : []),
    ...(differing.length > 0 ? chunkLines(differing) : []),
    ...(mended.length > 0
      ? [
          paint.yellow(`  ${mended.length} chunks were different, were sent again, and are equal now:`),
          ...chunkLines(mended),
        ]
      : []),
    ...(isEqual ? [] : ['  --mend sends them again as the primary has them; look at the disks of both first']),
  ];
}

function chunkLines(chunks: readonly ChunkAt[]): readonly string[] {
  const lines = chunks.map(({ offset, length }) => `    ${length} bytes at ${offset}`);
  return [
    ...lines.slice(0, MOST_NAMED),
    ...(lines.length > MOST_NAMED ? [`    and ${count(lines.length - MOST_NAMED)} more; --json names them all`] : []),
  ];
}

export function rewoundText({ file, moment, undone, seconds }: RewindResult, paint: Paint): readonly string[] {
  return [
    paint.green(
      `${printable(file)} is the volume as of operation ${moment.sequence}${moment.at ? ` of ${moment.at}` : ''}`,
    ),
    `  without the ${count(undone.operations)} changes (${dataSize(undone.bytes)}) since then; written in ${seconds.toFixed(1)} s`,
    '  the image of the DR is as it was',
  ];
}

export function promotionText(result: PromotionResult, paint: Paint): readonly string[] {
  const { manifest } = result;
  const lost = manifest.lost.map(
    ({ sequence, kind, offset, length, time, settled }) =>
      `  ${count(sequence)}  ${new Date(time / 1000).toISOString()}  ${kind} of ${length} at ${offset}${settled ? ', acknowledged' : ''}`,
  );
  return [
    `Promoted in ${result.seconds.toFixed(1)} s: the volume is as of operation ${count(result.last)}, epoch ${result.epoch}`,
    `  ${count(result.targets)} operations were on their way and ${count(result.queued)} still queued when the primary was lost; the auxiliary had them`,
    ...(result.stale
      ? [paint.red('  Operations had been missed before: this is no state that the volume ever had')]
      : []),
    manifest.lost.length === 0
      ? paint.green('  Nothing is lost')
      : paint.red(`  ${count(manifest.lost.length)} operations are lost:`),
    ...lost.slice(0, MOST_NAMED),
    ...(lost.length > MOST_NAMED ? [`  and ${count(lost.length - MOST_NAMED)} more; --json names them all`] : []),
    ...(manifest.complete ? [] : ['  The auxiliary could not be asked: there may have been more']),
  ];
}

function wordOf(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}
