import type { Suspended } from './dr.ts';
import type { OpRecord } from './record.ts';

/** One operation that is not in the image of a DR that took over. */
export interface LostOperation {
  readonly sequence: number;
  readonly epoch: number;
  readonly kind: OpRecord['kind'];
  readonly offset: number;
  readonly length: number;
  /** Microseconds since 1970. */
  readonly time: number;
  /** Its data is here, but not that of one before it: executing it would be no state the volume ever had. */
  readonly held: boolean;
  /** Whether its acknowledgement was allowed, as far as the DR has heard. */
  readonly settled: boolean;
}

/** Exactly what is gone. */
export interface Manifest {
  readonly lost: readonly LostOperation[];
  /** The DR holds the order up to here. */
  readonly knownUpTo: number;
  readonly settled: number;
  /** Nobody else can know of more: the auxiliary was asked. Without it, a primary that went on without the DR may have done more. */
  readonly complete: boolean;
}

export function manifestOf(
  entries: readonly Suspended[],
  { settled, asked }: { readonly settled: number; readonly asked: boolean },
): Manifest {
  const lost = entries.map(({ record, stored }) => ({
    sequence: record.sequence,
    epoch: record.epoch,
    kind: record.kind,
    offset: record.offset,
    length: record.length,
    time: record.time,
    held: stored,
    settled: record.sequence <= settled,
  }));
  return { lost, knownUpTo: lost.at(-1)?.sequence ?? 0, settled, complete: asked };
}
