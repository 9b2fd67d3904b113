/** What routes use of mediums. */

export { ArchiveSink } from './archive-sink.ts';
export { DirectorySink } from './directory-sink.ts';
export { MediumExporter } from './exporter.ts';
export { MediumImporter, planMediumChunks } from './importer.ts';
export { LogFilter, logBlocks } from './log-slice.ts';
export { MANIFEST_VERSION, type Manifest, type ManifestData, manifestPath, writeManifest } from './manifest.ts';
export type { Medium } from './medium.ts';
export { bytesOfMedium, openMedium } from './open-medium.ts';
export {
  claimPlace,
  clearPlace,
  containerFor,
  forsakePlace,
  logPath,
  markPlace,
  type PlaceOptions,
  placeLock,
  releasePlace,
} from './place.ts';
export type { MediumSink } from './sink.ts';
