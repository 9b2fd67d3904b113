export { archiveToParquet, csvToParquet } from './csv-to-parquet.ts';
export type { DuckdbOptions } from './database.ts';
export { DuckdbCompareEngine } from './engine.ts';
