import { GodwitError } from '../kernel/errors.ts';
import { armFailpoint, FAILPOINTS, type Failpoint } from '../kernel/failpoint.ts';

/**
 * Arms the failpoint of `GODWIT_FAILPOINT=name[:hits]`, for crash tests: the
 * process kills itself there as SIGKILL would, with nothing tidied up.
 * An unknown name is an error, or a test could wait for a crash in vain.
 */
export function armFromEnvironment(env: NodeJS.ProcessEnv): void {
  const wanted = env['GODWIT_FAILPOINT'];
  if (!wanted) return;
  const [name, hits = '1'] = wanted.split(':');
  const known = FAILPOINTS.find((failpoint): failpoint is Failpoint => failpoint === name);
  if (!known) throw new GodwitError('GW1001', `GODWIT_FAILPOINT names no failpoint: ${name}`);
  armFailpoint(known, Number(hits), () => process.kill(process.pid, 'SIGKILL'));
}
