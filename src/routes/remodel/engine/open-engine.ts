import type { CompareEngine } from '../../../kernel/remodel/index.ts';

/** An engine by its name; what it needs is loaded only now. */
export async function openEngine(kind: CompareEngine['kind'], folder: string): Promise<CompareEngine> {
  if (kind === 'duckdb') {
    const { DuckdbCompareEngine } = await import('../../../adapters/duckdb/index.ts');
    return new DuckdbCompareEngine({ tempDir: folder });
  }
  const { SparkCompareEngine } = await import('../../../adapters/spark/index.ts');
  return new SparkCompareEngine({ tempDir: folder });
}
