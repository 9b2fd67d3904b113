/** What routes use of this adapter. */

export { adoptCollection } from './adopt.ts';
export { type Catalog, type CollectionSpec, namespaceOf, readCatalog } from './catalog.ts';
export { Cluster } from './cluster.ts';
export { MongoCopier } from './copier.ts';
export { availableFences, openFence } from './fence/index.ts';
export { deferExpiry, expires, finishIndexes, reviveExpiry } from './finish.ts';
export { controlThrottle, learnBaseline, NeighbourLoad } from './load/index.ts';
export { type ApplierMemory, type Barrier, OplogApplier } from './log/applier.ts';
export { OplogSource, oldestOpenTransaction } from './log/oplog-source.ts';
export { recallTouched } from './log/recall.ts';
export { type TrackedCollection, TrackedCollections, trackedOf } from './log/tracked.ts';
export { makeSelection, type Selection } from './namespaces.ts';
export { planChunks, sizeOf } from './partition.ts';
export { clusterTime, secondsOf } from './position.ts';
export { preflight } from './preflight/index.ts';
export {
  describeCollection,
  MongoRemodelAdmin,
  type MongoRemodelOptions,
  MongoRemodelStore,
} from './remodel/index.ts';
export { createCollection, createIndexes, dropCollection, splitIndexes } from './structure.ts';
export { copyUsersAndRoles } from './users/index.ts';
export { compareKeys } from './verify/recheck.ts';
export { repairDrift } from './verify/repair.ts';
export { compareStructure } from './verify/structure-diff.ts';
export { TouchedKeys } from './verify/touched.ts';
export { type Moment, MongoVerifier, snapshotAt } from './verify/verifier.ts';
export { makeViews, reconcileViews } from './views.ts';
export type { WireConnection } from './wire/connection.ts';
