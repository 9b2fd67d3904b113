export { SparkCompareEngine } from './engine.ts';
