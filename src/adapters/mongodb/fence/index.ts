export { availableFences, openFence } from './fence.ts';
export { readWriters } from './writers.ts';
