export { availableFences, type FenceChoice, type FenceContext, type MongoFenceKind, openFence } from './fence.ts';
export { type FreeWriter, readWriters, type Writer, type Writers } from './writers.ts';
