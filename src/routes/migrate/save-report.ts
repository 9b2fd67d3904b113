import { join } from 'node:path';
import type { MigrateStatus } from './api.ts';
import { timeOf } from './explaining.ts';
import type { ReportData } from './report/data.ts';
import { writeReport } from './report/write.ts';
import { type DetectionRecord, KEY, type ProofRecord, type RunContext, SHOWN_DRIFT } from './run-context.ts';
import { VERSION } from './version.ts';

/** Writes report.html and report.json into the run's folder; gives the path of the page. */
export function saveReport(run: RunContext, status: MigrateStatus): string {
  const { store } = run;
  const proof = store.get<ProofRecord>(KEY.proof);
  const { html } = writeReport(store.paths.dir, {
    status,
    samples: store.samples(),
    events: store.events(),
    proof:
      proof && proof.state !== 'running'
        ? {
            at: proof.at,
            docs: proof.docs,
            bytes: proof.bytes,
            drift: proof.drift,
            by: proof.digests ? 'digests' : 'bytes',
          }
        : null,
    drift: store.drift(SHOWN_DRIFT),
    detection: detectionOf(store.get<DetectionRecord>(KEY.detection)),
    godwit: VERSION,
  });
  return html ?? join(store.paths.dir, 'report.html');
}

function detectionOf(record: DetectionRecord | undefined): ReportData['detection'] {
  if (!record) return null;
  const { at, docs, late, wrong, truncated, sample, appliedTo, spooledTo } = record;
  return { at, docs, late, wrong, truncated, sample, appliedTo: timeOf(appliedTo), spooledTo: timeOf(spooledTo) };
}
