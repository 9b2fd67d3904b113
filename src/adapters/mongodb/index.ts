/** What routes use of this adapter. */

export { adoptCollection } from './adopt.ts';
export {
  type Catalog,
  type CollectionSpec,
  currentUuid,
  namespaceOf,
  readCatalog,
  readCatalogAt,
} from './catalog.ts';
export { Cluster } from './cluster.ts';
export { MongoCopier } from './copier.ts';
export { availableFences, openFence } from './fence/index.ts';
export { deferExpiry, expires, finishIndexes, reviveExpiry } from './finish.ts';
export {
  type CatchUp,
  type FrozenMember,
  freezeSecondary,
  judgeSecondaries,
  logForgets,
  openLock,
  releasedAt,
  releaseLeftLock,
  watchCatchUp,
} from './freeze/index.ts';
export {
  controlThrottle,
  type LoadSample,
  learnBaseline,
  MembersLoad,
  NeighbourLoad,
  NO_STRAIN,
  strainOf,
} from './load/index.ts';
export { type ApplierMemory, type Barrier, OplogApplier } from './log/applier.ts';
export { eachChange, nameOfKey } from './log/changes.ts';
export { blockAfter, type LogBacklog, OplogSource, oldestOpenTransaction } from './log/oplog-source.ts';
export { recallTouched } from './log/recall.ts';
export { isSameLog } from './log/same-log.ts';
export { type TrackedCollection, TrackedCollections, trackedOf } from './log/tracked.ts';
export {
  ArchiveSink,
  bytesOfMedium,
  claimPlace,
  clearPlace,
  containerFor,
  DirectorySink,
  forsakePlace,
  LogFilter,
  logBlocks,
  logPath,
  MANIFEST_VERSION,
  type Manifest,
  type ManifestData,
  type Medium,
  MediumExporter,
  MediumImporter,
  type MediumSink,
  manifestPath,
  markPlace,
  openMedium,
  type PlaceOptions,
  placeLock,
  planMediumChunks,
  releasePlace,
  writeManifest,
} from './medium/index.ts';
export { canReadAsOf, delayedBefore, delayedMembers, structureChangedBetween } from './medium/past.ts';
export { bytesIn, describeToolDump, dumpByTool } from './medium/tool-dump.ts';
export { isForTool, restoreByTool, restoredSoFar } from './medium/tool-restore.ts';
export { toolVersion } from './medium/tools.ts';
export { makeSelection, type Selection } from './namespaces.ts';
export { planChunks, planScan, sizeOf } from './partition.ts';
export { clusterTime, positionAtSecond, positionOf, secondsOf } from './position.ts';
export { preflight, preflightTarget } from './preflight/index.ts';
export {
  describeCollection,
  MongoRemodelAdmin,
  type MongoRemodelOptions,
  MongoRemodelStore,
} from './remodel/index.ts';
export { type Alignment, alignStructure, missingIndexes, type Placement } from './resync/align-structure.ts';
export { waitForOrphans } from './resync/orphans.ts';
export type { ResyncFindings } from './resync/repair-batch.ts';
export { MongoResyncer } from './resync/resyncer.ts';
export { createCollection, createIndexes, dropCollection, splitIndexes } from './structure.ts';
export { copyUsersAndRoles } from './users/index.ts';
export type { Judged } from './verify/judge.ts';
export { kindOf, PendingChanges } from './verify/pending.ts';
export { compareKeys } from './verify/recheck.ts';
export { repairDrift } from './verify/repair.ts';
export { compareStructure } from './verify/structure-diff.ts';
export { keyOfText, SyncDetector } from './verify/sync-detector.ts';
export { TouchedKeys } from './verify/touched.ts';
export { type Moment, MongoVerifier, snapshotAt } from './verify/verifier.ts';
export { makeViews, reconcileViews } from './views.ts';
export type { WireConnection } from './wire/connection.ts';
