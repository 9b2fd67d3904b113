/** What routes use of this adapter. */
export { type Catalog, type CollectionSpec, namespaceOf, readCatalog, type ViewSpec } from './catalog.ts';
export { Cluster } from './cluster.ts';
export { type CopyUnit, MongoCopier } from './copier.ts';
export { expires, finishIndexes } from './finish.ts';
export { type ApplierMemory, OplogApplier } from './log/applier.ts';
export { OplogSource, oldestOpenTransaction } from './log/oplog-source.ts';
export { type TrackedCollection, trackedOf } from './log/tracked.ts';
export { adoptCollection } from './adopt.ts';
export { makeSelection, type Selection } from './namespaces.ts';
export { planChunks, sizeOf } from './partition.ts';
export { positionBefore, secondsOf } from './position.ts';
export { createCollection, createIndexes, dropCollection, splitIndexes } from './structure.ts';
export { TouchedKeys } from './verify/touched.ts';
export { compareKeys } from './verify/recheck.ts';
export { repairDrift } from './verify/repair.ts';
export { compareStructure } from './verify/structure-diff.ts';
export { type Moment, MongoVerifier } from './verify/verifier.ts';
export { makeViews, reconcileViews } from './views.ts';
