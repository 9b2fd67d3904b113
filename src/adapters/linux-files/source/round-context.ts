/** What a round of a copy is given, and what it tells of itself (see round.ts). */
import type { Changes } from '../capture/changes.ts';
import type { BytePath } from '../libc/bytes.ts';
import type { Difference } from '../proof/differences.ts';
import type { Outbox } from '../wire/outbox.ts';
import type { Range } from '../wire/sums.ts';
import type { Adopted } from './adopted.ts';
import type { CatalogReader } from './catalog.ts';
import type { CatalogWriter } from './catalog-file.ts';
import type { Devices } from './deleted.ts';
import type { Moved, Place } from './moved.ts';
import type { OnRemark } from './remark.ts';
import type { SourceRoot } from './roots.ts';

/** What a round did. */
export interface RoundCounts {
  /** Names that were looked at. */
  entries: number;
  /** Bytes of content they hold. */
  bytes: number;
  /** Names that were sent, because they were new or changed. */
  sent: number;
  /** Bytes of content that were read and sent. */
  sentBytes: number;
  /** Names that were removed on the target. */
  removed: number;
  /** Large files that were renamed there instead of being sent. */
  moved: number;
  /** Names that must be looked at again: they changed under the read, or just before it. */
  unsettled: number;
}

export function noCounts(): RoundCounts {
  return { entries: 0, bytes: 0, sent: 0, sentBytes: 0, removed: 0, moved: 0, unsettled: 0 };
}

export interface Captured {
  /** Since the last round. */
  readonly changes: Changes;
  /** What is left of it for the next one. */
  readonly later: Changes;
  /** Only what they name is looked at. Otherwise everything is, and they tell which pages of a large file may be others. */
  readonly isTold: boolean;
}

export interface RoundContext {
  readonly roots: readonly SourceRoot[];
  readonly outbox: Outbox;
  readonly before: CatalogReader;
  readonly after: CatalogWriter;
  readonly own: ReadonlySet<string>;
  readonly onRemark: OnRemark;
  /** Filled with the devices that the walk comes to. */
  readonly devices: Devices;
  readonly counts: RoundCounts;
  /** Sums of ranges of a file on the target (see wire/sums.ts). */
  readonly sums: (mapping: number, path: BytePath, ranges: readonly Range[]) => Promise<Buffer | undefined>;
  /** Gives a large file of the target another name; false when it has it not. */
  readonly move: (from: Place, to: Place) => Promise<boolean>;
  /** What was renamed since the last round, where that is known. */
  readonly moved?: Moved | undefined;
  /** What a proof found: these names are sent as if they were new, or taken away. */
  readonly repair: readonly Difference[];
  /** What the target had before the move, where a proof found it equal. */
  readonly adopted?: Adopted | undefined;
  /** Without it, nobody tells of changes. */
  readonly captured?: Captured | undefined;
  readonly signal: AbortSignal;
  /** Called between bundles. */
  readonly onProgress: () => void;
}
