import type { Volume } from '../../src/kernel/protect/volume.ts';
import { Lane, type LaneCounts } from './lane.ts';

export interface FuzzOptions {
  readonly requests: number;
  readonly seed: number;
  /** Servers with a client each, at the same time in this process. */
  readonly lanes: number;
  readonly around?: (volume: Volume) => Volume;
  readonly progress?: (requests: number) => void;
}

export interface FuzzResult extends LaneCounts {
  /** What went wrong first, with the seed that repeats it. */
  readonly failure?: string;
}

/** Sessions after sessions until so many requests were judged, or something was wrong. */
export async function fuzz({ requests, seed, lanes, around, progress }: FuzzOptions): Promise<FuzzResult> {
  const total: LaneCounts = { requests: 0, replies: 0, refused: 0, sessions: 0, cut: 0, garbage: 0, handshakes: 0 };
  let failure: string | undefined;
  const run = async (number: number): Promise<void> => {
    const laneSeed = seed * 1000 + number;
    await using lane = await Lane.open(laneSeed, around);
    while (lane.counts.requests * lanes < requests && failure === undefined) {
      try {
        await lane.session();
      } catch (error) {
        const why = error instanceof Error ? (error.stack ?? error.message) : String(error);
        failure ??= `seed ${seed}, lane ${number}, session ${lane.counts.sessions}: ${why}`;
      }
      progress?.(lane.counts.requests * lanes);
    }
    for (const key of Object.keys(total) as (keyof LaneCounts)[]) total[key] += lane.counts[key];
  };
  await Promise.all(Array.from({ length: lanes }, (_, number) => run(number)));
  return { ...total, ...(failure === undefined ? {} : { failure }) };
}
