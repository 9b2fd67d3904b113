import { DuckdbCompareEngine } from '../../src/adapters/duckdb/index.ts';
import { describeCompareEngineContract } from './compare-engine.ts';

describeCompareEngineContract('DuckDB', async (tempDir) => new DuckdbCompareEngine({ tempDir }), 60_000);
