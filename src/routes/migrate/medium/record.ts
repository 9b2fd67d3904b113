import type { Medium } from '../../../adapters/mongodb/index.ts';
import { GodwitError } from '../../../kernel/errors.ts';
import type { Position } from '../../../kernel/position.ts';
import type { RunStore } from '../../../state/index.ts';
import { KEY } from '../run-context.ts';

/** What a run remembers of the medium it began with. */
export interface MediumRecord {
  /** Which medium, whatever it is called now. */
  readonly id: string;
  readonly tool: string;
  /** Identity of the replica set it comes from, where that is known. */
  readonly sourceId: string | null;
  /** Absent without a log: no run can go on from it. */
  readonly timePoint: Position | null;
  readonly log: {
    readonly start: Position;
    readonly end: Position;
    /** The last entry, base64: the source's log must hold it, byte for byte. */
    readonly lastEntry: string;
  } | null;
  /** By UUID: how each collection was read. */
  readonly collections: Readonly<Record<string, { readonly snapshot: boolean; readonly holds: Position }>>;
  /** Collections whose identity the tool does not tell, as `db.name`, by the UUID that stands for it meanwhile. */
  readonly unidentified: Readonly<Record<string, string>>;
}

export function recordOf(medium: Medium, lastEntry: Buffer | undefined): MediumRecord {
  return {
    id: medium.id,
    tool: medium.tool,
    sourceId: medium.source?.id ?? null,
    timePoint: medium.timePoint ?? null,
    log:
      medium.log && lastEntry
        ? { start: medium.log.start, end: medium.log.end, lastEntry: lastEntry.toString('base64') }
        : null,
    collections: Object.fromEntries(
      medium.collections.map(({ spec, snapshot, holds }) => [spec.uuid, { snapshot, holds }]),
    ),
    unidentified: Object.fromEntries(
      medium.collections.filter((one) => !one.identified).map(({ spec }) => [spec.uuid, `${spec.db}.${spec.name}`]),
    ),
  };
}

/** The medium a run began with, if it did. */
export function mediumRecord(store: RunStore): MediumRecord | undefined {
  return store.get<MediumRecord>(KEY.medium);
}

/** Throws GW2104 when another medium is given than the run was begun with. */
export function assertSameMedium(record: MediumRecord, medium: Medium, run: string): void {
  if (record.id === medium.id) return;
  throw new GodwitError('GW2104', `Run ${run} was begun with the medium ${record.id}, this one is ${medium.id}`, {
    details: { run, begunWith: record.id, given: medium.id },
  });
}
