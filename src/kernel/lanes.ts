import { throwIfAborted } from './errors.ts';

/**
 * Works through a queue, `lanes` items at once. The first error ends all lanes:
 * it sets the signal that `work` is given, and is thrown once every lane has
 * come to rest, so that nothing goes on behind the caller's back.
 */
export async function inLanes<T>(
  items: readonly T[],
  lanes: number,
  signal: AbortSignal,
  work: (item: T, signal: AbortSignal) => Promise<void>,
): Promise<void> {
  const queue = [...items];
  const failure = new AbortController();
  const either = AbortSignal.any([signal, failure.signal]);
  const lane = async () => {
    for (let item = queue.shift(); item !== undefined; item = queue.shift()) {
      throwIfAborted(either);
      await work(item, either);
    }
  };
  const ended = Array.from({ length: lanes }, () => lane().catch((error) => failure.abort(error)));
  await Promise.all(ended);
  throwIfAborted(signal);
  if (failure.signal.aborted) throw failure.signal.reason;
}
