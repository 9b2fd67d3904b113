export { archiveToParquet, csvToParquet, type SnapshotOptions } from './csv-to-parquet.ts';
export type { DuckdbOptions } from './database.ts';
export { DuckdbCompareEngine } from './engine.ts';
