import { BUCKETS } from '../../../kernel/remodel/index.ts';
import type { RemodelStatus } from './godwit.ts';
import type { Gauge } from './metrics.ts';

/** What a status says, as metrics. */
export function gaugesOf({ remodel, control, ageMs, relay }: RemodelStatus): Gauge[] {
  const labels = { remodel };
  const gauges: Gauge[] = [{ family: 'godwit_control_age_seconds', labels, value: ageMs / 1000 }];
  if (control !== undefined)
    gauges.push(
      { family: 'godwit_control_epoch', labels, value: control.epoch },
      { family: 'godwit_ramp_ratio', labels, value: control.ramp / BUCKETS },
      { family: 'godwit_reads_ratio', labels, value: control.reads / BUCKETS },
    );
  if (relay === undefined) return gauges;
  gauges.push(
    { family: 'godwit_relay_applied_total', labels, value: relay.applied },
    { family: 'godwit_relay_quarantined_total', labels, value: relay.quarantined },
    { family: 'godwit_relay_lag_seconds', labels, value: relay.lagMs / 1000 },
  );
  for (const { task, failures } of relay.tasks)
    gauges.push({ family: 'godwit_relay_failures', labels: { ...labels, task }, value: failures });
  return gauges;
}
