/** The comparison of copies with other shapes of data, each of about the same number of bytes. */

import type { DatasetOptions } from './dataset.ts';
import { type Comparison, compareCopies, comparisonTable, shapeVerdicts } from './lib/compare-copies.ts';
import type { Contender } from './lib/contenders.ts';
import { verdictLine } from './lib/print.ts';

const BYTES = 1_500_000_000;

const SHAPES: readonly { readonly name: string; readonly bytes: number; readonly id: DatasetOptions['id'] }[] = [
  { name: 'ObjectId ids, 1.1 kB', bytes: 1100, id: 'objectid' },
  { name: 'string ids, 200 bytes', bytes: 200, id: 'string' },
  { name: 'string ids, 1 MB', bytes: 1_000_000, id: 'string' },
];

export async function compareShapes(options: {
  readonly scale: number;
  readonly contenders: readonly Contender[];
  readonly repeat: number;
  readonly workDir: string;
}): Promise<Comparison[]> {
  const comparisons: Comparison[] = [];
  for (const { name, bytes, id } of SHAPES) {
    const dataset = { documents: Math.max(1, Math.round((BYTES * options.scale) / bytes)), bytes, id };
    const comparison = await compareCopies({ ...options, dataset });
    comparisons.push(comparison);
    console.log(`\n${name}: ${dataset.documents} documents, ${Math.round(comparison.bytes / 1e6)} MB\n`);
    console.log(comparisonTable(comparison));
    for (const verdict of shapeVerdicts(comparison)) console.log(verdictLine(verdict));
  }
  return comparisons;
}
