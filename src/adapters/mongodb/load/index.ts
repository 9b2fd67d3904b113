export { NeighbourLoad } from './neighbour-load.ts';
export { controlThrottle, learnBaseline } from './throttle-controller.ts';
