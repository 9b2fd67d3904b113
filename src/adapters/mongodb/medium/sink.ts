import type { FileFacts } from './document-file.ts';
import type { ManifestData } from './manifest.ts';

/** A collection that will be written to a medium. */
export interface SinkUnit {
  /** The collection's UUID. */
  readonly key: string;
  readonly db: string;
  readonly name: string;
  /** Its documents are given one after another, and their order is kept. */
  readonly ordered: boolean;
}

/**
 * A medium that is being written. Documents travel as bytes, many at a time;
 * nobody looks into them. Nothing is durable before `finish`, `finishLog` or
 * `close` has come back.
 */
export interface MediumSink {
  /** Adds whole documents to a collection. Callers may do so at once; the bytes must stay until then. */
  append(unit: string, docs: Buffer, documents: number): Promise<void>;
  /** Takes back what a collection holds so far. Throws GW2105 where that is not possible. */
  restart(unit: string): Promise<void>;
  /**
   * All documents of a unit were appended. In the lane that read it, before it turns to the next: who restores
   * an archive keeps only so many collections open at once.
   */
  end(unit: string): Promise<void>;
  /** A collection is complete. With `file` it is durable, too, and may be kept by a later attempt. */
  finish(unit: string): Promise<{ readonly data: ManifestData; readonly file?: FileFacts }>;
  /** Adds log entries, in order, after all collections are complete. */
  appendLog(entries: Buffer, count: number): Promise<void>;
  finishLog(): Promise<ManifestData>;
  /** Completes the medium but for its manifest; gives all its files. */
  close(): Promise<FileFacts[]>;
  /** Lets go of open files; what was written stays as it is. */
  abandon(): Promise<void>;
}
