export { parseProbe } from './probes.ts';
export { rehearse } from './rehearse.ts';
