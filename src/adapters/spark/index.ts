export { SparkCompareEngine } from './engine.ts';
export type { SparkOptions } from './submit.ts';
