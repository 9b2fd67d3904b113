import type { Position } from '../../../kernel/position.ts';
import type { CollectionSpec, ViewSpec } from '../catalog.ts';
import type { Compression } from './codec.ts';
import type { Manifest, ManifestData } from './manifest.ts';

/** The data of a medium and where they lie. */
export interface MediumData extends ManifestData {
  readonly compression: Compression;
}

export interface MediumCollection {
  readonly spec: CollectionSpec;
  readonly data: MediumData;
  /** Exactly as of the time point; otherwise some documents are newer, and the log has the word on them. */
  readonly snapshot: boolean;
  /** Everything up to here is in it. */
  readonly holds: Position;
  /** Whether the UUID is the source's, and not one made up because the tool does not write it. */
  readonly identified: boolean;
}

/** The log that came with a medium: what was written while it was made. */
export interface MediumLog {
  /** Entries after this one. */
  readonly start: Position;
  readonly end: Position;
  readonly data: MediumData;
}

/** A medium that was looked through and found whole. */
export interface Medium {
  /** The folder that its files are named from. */
  readonly folder: string;
  readonly container: Manifest['container'];
  /** An archive of another tool that is compressed in one piece: it has to be unpacked before it can be loaded. */
  readonly packed: boolean;
  /** Which medium it is, whatever it is called. */
  readonly id: string;
  /** What wrote the data. */
  readonly tool: string;
  /** Where it comes from, where that is known. */
  readonly source: Manifest['source'] | undefined;
  /** Absent without a log: nobody can go on from it then. */
  readonly timePoint: Position | undefined;
  readonly log: MediumLog | undefined;
  /**
   * Up to here a change of a collection that the medium does not have is no
   * surprise: other tools list the structure at some time after the time point.
   */
  readonly listedBy: Position;
  readonly collections: readonly MediumCollection[];
  readonly views: readonly ViewSpec[];
}

/** Told while files are read. */
export type BytesRead = (bytes: number) => void;
