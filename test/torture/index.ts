/** A seeded workload that does every kind of operation at once. */
export { checkPromises, type PromisesKept } from './check-promises.ts';
export { startTorture, TORTURE_KINDS, type Torture, type TortureLog, type TortureOptions } from './torture.ts';
export { tortureNames } from './world.ts';
