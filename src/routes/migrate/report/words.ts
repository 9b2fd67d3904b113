/** What a run has shown, in sentences with figures. Pure; says nothing that was not measured. */
import type { ReportData, Sample, SampleName } from './data.ts';
import { count, dataSize, timeSpan } from './format.ts';

const GONE_OVER = ['switched', 'resyncing-back', 'confirmed', 'cleaning', 'done'];

export function headline({ status, proof, drift }: ReportData): string {
  if (drift.length > 0) return 'Source and target differ';
  if (status.phase === 'done') return 'Moved, and the source is cleaned up';
  if (GONE_OVER.includes(status.phase)) return 'Moved: applications use the target';
  if (status.phase === 'rolling-back' || status.phase === 'rolled-back')
    return 'Rolled back: applications use the source';
  if (status.phase === 'cancelled') return 'Cancelled: the source serves as before';
  if (proof !== null && proof.drift === 0) return 'Proved equal, and followed';
  return status.phase === 'copying' || status.phase === 'created' ? 'Under way' : 'Copied, and followed';
}

/** Sentences on what was proved, and plainly on what was not. */
export function proved(data: ReportData): readonly string[] {
  const { status, proof } = data;
  const sentences: string[] = [];
  if (proof === null)
    sentences.push('Nothing has been proved yet: no complete comparison of both sides has been made.');
  else {
    const size = `${exact(proof.docs)} documents (${dataSize(proof.bytes)} on each side)`;
    sentences.push(
      proof.by === 'bytes'
        ? `The comparison that ended at ${proof.at} read ${size} on both clusters and compared them byte for byte.`
        : `The comparison that ended at ${proof.at} read ${size} on both clusters: every document by a digest of its bytes (64 bits, secret seed), and what was written again or changed meanwhile byte for byte.`,
      proof.drift === 0
        ? 'It found no difference: none missing, none extra, none changed.'
        : `It found ${exact(proof.drift)} differences; the table below names them.`,
    );
    if (proof.digest !== undefined) sentences.push(`Digest over all documents: ${proof.digest}.`);
  }
  if (status.log.entriesApplied > 0) {
    sentences.push(
      `${exact(status.log.entriesApplied)} log entries were applied to the target while the source was being written.`,
    );
  }
  const { last, rounds } = status.sync;
  if (last !== null) {
    const left =
      last.behind === null
        ? ''
        : `; behind it lay ${exact(last.behind.events)} events (${dataSize(last.behind.bytes)}), the oldest ${timeSpan(last.behind.seconds)} old`;
    sentences.push(
      `Changes were carried in rounds: ${exact(rounds)} so far. The last began at ${last.startedAt} and moved ${exact(last.entries)} log entries (${dataSize(last.bytes)}) in ${timeSpan(last.seconds)}${last.cutShort === null ? '' : `, cut short because ${last.cutShort}`}${left}.`,
    );
  }
  const { freeze } = status;
  if (freeze !== null) {
    sentences.push(
      freeze.exact
        ? `Every document was copied as of ${freeze.timePointAt} (cluster time ${freeze.timePoint.t}, ${freeze.timePoint.i}), from ${freeze.member}, whose writes stood still for ${timeSpan(freeze.heldSeconds)}.`
        : `The copy began at ${freeze.member}, standing still at ${freeze.timePointAt}; what was read elsewhere may hold later changes too, and the log was applied over it${freeze.cutShort === null ? '' : ` (cut short: ${freeze.cutShort})`}.`,
    );
  }
  if (status.resync?.state === 'done') {
    const { startedAt, missing, extra, different, recopied } = status.resync;
    const whole = recopied.length === 0 ? '' : `, and ${exact(recopied.length)} collections as a whole`;
    sentences.push(
      `The log was lost and a new time point taken at ${startedAt}: both sides were compared, and ${exact(missing + extra + different)} documents put right (${exact(missing)} missing, ${exact(extra)} too much, ${exact(different)} different)${whole}.`,
    );
  }
  const { stallMs, switchedAt, fence } = status.cutover;
  if (stallMs !== null) {
    const others = fence === 'roles' || fence === 'entry' ? '; no other namespace was fenced' : '';
    const means = fence === null ? '' : ` (fence: ${fence})`;
    sentences.push(`The chosen namespaces refused writes for ${timeSpan(stallMs / 1000)}${means}${others}.`);
  }
  if (switchedAt !== null) sentences.push(`The address was switched at ${switchedAt}.`);
  return sentences;
}

export interface Figure {
  readonly name: string;
  readonly value: string;
}

export function figures(data: ReportData): readonly Figure[] {
  const { status, samples } = data;
  const list: Figure[] = [
    { name: 'data', value: dataSize(status.copy.bytes) },
    { name: 'documents', value: count(status.copy.docs) },
  ];
  const mbps = averageCopyMbps(samples);
  if (mbps !== null) list.push({ name: 'copied at', value: `${mbps >= 100 ? mbps.toFixed(0) : mbps.toFixed(1)} MB/s` });
  const lag = largest(samples, 'lagSeconds');
  if (lag !== null) list.push({ name: 'largest lag', value: timeSpan(lag) });
  if (status.cutover.stallMs !== null)
    list.push({ name: 'writes refused', value: timeSpan(status.cutover.stallMs / 1000) });
  list.push({ name: 'differences', value: data.proof === null ? 'not compared' : count(data.proof.drift) });
  return list;
}

/** Over the stretch in which bytes grew. */
export function averageCopyMbps(samples: readonly Sample[]): number | null {
  const copied = samples.filter((sample) => sample.values.copyBytes !== undefined);
  const final = copied[copied.length - 1]?.values.copyBytes ?? 0;
  const start = copied.findLast((sample) => sample.values.copyBytes === copied[0]?.values.copyBytes);
  const end = copied.find((sample) => sample.values.copyBytes === final);
  if (!start || !end || end.atMs <= start.atMs) return null;
  return (final - (start.values.copyBytes ?? 0)) / 1e6 / ((end.atMs - start.atMs) / 1000);
}

function largest(samples: readonly Sample[], name: SampleName): number | null {
  const values = samples.map((sample) => sample.values[name]).filter((value) => value !== undefined);
  return values.length === 0 ? null : values.reduce((most, value) => Math.max(most, value));
}

/** All digits, in groups of three that do not break. */
function exact(value: number): string {
  return String(Math.round(value)).replace(/\B(?=(\d{3})+$)/g, '\u202f');
}
