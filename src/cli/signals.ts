import { GodwitError } from '../kernel/errors.ts';

/** What of `process` is needed, so that a test can play it. */
interface SignalSource {
  on(name: 'SIGINT' | 'SIGTERM', listener: () => void): unknown;
}

/** The first signal asks the work to stop at a checkpoint; the second one exits at once, which is safe too. */
export function stopOnSignals(
  source: SignalSource,
  say: (text: string) => void,
  exitNow: (code: number) => void,
): AbortController {
  const stop = new AbortController();
  const listen = (name: 'SIGINT' | 'SIGTERM', exitCode: number) =>
    source.on(name, () => {
      if (stop.signal.aborted) return exitNow(exitCode);
      say('Stopping at the next checkpoint; once more stops at once\n');
      stop.abort(new GodwitError('GW8001', `Stopped by ${name}`));
    });
  listen('SIGINT', 130);
  listen('SIGTERM', 143);
  return stop;
}
