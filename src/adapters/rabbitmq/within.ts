import { GodwitError } from '../../kernel/errors.ts';

/**
 * How long the broker may take for an answer. A quorum queue without a leader
 * answers nothing for as long as it has none, and says nothing of it.
 */
const PATIENCE_MS = 15_000;

/** Waits for the broker, but not for ever: GW3003, and the connection is not to be used further. */
export async function within<T>(work: Promise<T>, where: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      reject(new GodwitError('GW3003', `${where}: the broker did not answer for ${PATIENCE_MS / 1_000} s`));
    }, PATIENCE_MS);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
