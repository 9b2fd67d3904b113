import { join } from 'node:path';
import type { MigrateStatus } from './api.ts';
import { writeReport } from './report/write.ts';
import { KEY, type ProofRecord, type RunContext, SHOWN_DRIFT } from './run-context.ts';
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
        ? { at: proof.at, docs: proof.docs, bytes: proof.bytes, drift: proof.drift }
        : null,
    drift: store.drift(SHOWN_DRIFT),
    godwit: VERSION,
  });
  return html ?? join(store.paths.dir, 'report.html');
}
