export { archiveToParquet, csvToParquet } from './csv-to-parquet.ts';
export { DuckdbCompareEngine } from './engine.ts';
