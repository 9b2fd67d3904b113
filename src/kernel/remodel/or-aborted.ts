import { throwIfAborted } from '../errors.ts';

/** Waits for `work`, or throws GW8001 as soon as the signal is set; `work` then goes on unheeded. */
export async function orAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  let leave = () => {};
  const aborted = new Promise<void>((resolve) => {
    leave = () => resolve();
  });
  signal.addEventListener('abort', leave, { once: true });
  if (signal.aborted) leave();
  try {
    const first = await Promise.race([work.then((value) => ({ value })), aborted]);
    if (first !== undefined) return first.value;
    throwIfAborted(signal);
    throw new Error('not reached: the signal is set');
  } finally {
    signal.removeEventListener('abort', leave);
    leave();
  }
}
