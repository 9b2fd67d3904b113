export { MembersLoad } from './member-load.ts';
export { type LoadSample, NeighbourLoad } from './neighbour-load.ts';
export { NO_STRAIN, strainOf } from './strain.ts';
export { controlThrottle, learnBaseline } from './throttle-controller.ts';
