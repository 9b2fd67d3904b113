import type { Catalog, Cluster, Manifest, MediumSink, Selection } from '../../../adapters/mongodb/index.ts';
import type { Position } from '../../../kernel/position.ts';
import type { RetryPolicy } from '../../../kernel/retry.ts';
import type { Throttle } from '../../../kernel/throttle.ts';
import type { ExportOptions } from '../api.ts';
import type { Meter } from '../meter.ts';
import type { StoredCatalog } from '../stored-catalog.ts';
import type { ProgressTeller } from './progress.ts';

/** What the parts of an export share. */
export interface ExportWork {
  readonly options: ExportOptions;
  readonly source: Cluster;
  readonly selection: Selection;
  readonly container: Manifest['container'];
  readonly serverVersion: string;
  readonly readFrom: 'primary' | 'secondary';
  /** A member that stays behind on purpose and is read instead: it has yet to come to the time point. */
  readonly delayed: string | undefined;
  /** As of the time point. */
  readonly catalog: Catalog;
  /** Collections that an earlier attempt completed. */
  readonly done: ExportProgress['done'];
  /** Keeps another one for later attempts. */
  readonly keep: (uuid: string, done: DoneCollection) => Promise<void>;
  readonly throttle: Throttle;
  readonly meter: Meter;
  readonly teller: ProgressTeller;
  readonly signal: AbortSignal;
  readonly tell: (kind: string, data: Record<string, unknown>) => void;
  /** Told when a collection cannot be read as of the time point. */
  readonly onInexact: (namespace: string, why: string) => void;
  readonly retry: () => RetryPolicy;
}

/** What an attempt knows of earlier ones, and leaves for later ones. */
export interface ExportProgress {
  readonly compression: string;
  readonly catalog: StoredCatalog;
  /** Where the log begins. */
  readonly start: Position;
  /** Collections that are complete, by UUID, with their files. */
  readonly done: Readonly<Record<string, DoneCollection>>;
}

export interface DoneCollection {
  readonly collection: Manifest['collections'][number];
  readonly file: Manifest['files'][number];
}

/** The collections are on the medium; the log is still to come. */
export interface WrittenData {
  /** Takes the log. */
  readonly sink: MediumSink;
  /** What the manifest says of it all, once the log is there too. `files` are those of the sink. */
  readonly describe: (
    files: Manifest['files'],
    logEnd: Manifest['log']['end'],
  ) => Promise<
    Pick<Manifest, 'tool' | 'collections' | 'views' | 'files' | 'listedBy' | 'snapshot'> & { preludeBytes?: number }
  >;
}
