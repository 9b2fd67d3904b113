export { preflight, preflightTarget } from './preflight.ts';
