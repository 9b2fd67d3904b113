export type { Baseline } from './decide.ts';
export { type LoadSample, NeighbourLoad } from './neighbour-load.ts';
export { controlThrottle, learnBaseline } from './throttle-controller.ts';
