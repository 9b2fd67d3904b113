import { ControlSocket } from '../../../state/index.ts';
import type { RoleStatus, SharedOptions } from '../api.ts';
import type { ControlRequest } from './control.ts';
import { serveMetrics } from './metrics.ts';

/** What every role has around its engine while `work` runs: the control socket, which is its lock too, and its metrics. */
export async function serving(
  options: SharedOptions,
  status: () => RoleStatus | undefined,
  work: () => Promise<void>,
  answer: (request: ControlRequest) => Promise<unknown> = async () => status(),
): Promise<void> {
  const control = await ControlSocket.open<ControlRequest>(options.state, answer);
  try {
    const metrics = options.metrics && (await serveMetrics(options.metrics, status));
    try {
      await work();
    } finally {
      await metrics?.close();
    }
  } finally {
    await control.close();
  }
}
