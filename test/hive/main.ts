/** `npm run chaos:registry -- --pairs N --mutated N --seed N`: more of what the tests do a slice of. */
import { parseArgs } from 'node:util';
import { requireJudges } from './install-judges.ts';
import { type MutationCounts, tryMutated } from './mutate.ts';
import { runPairs } from './run-pairs.ts';

const { values } = parseArgs({
  options: { pairs: { type: 'string' }, mutated: { type: 'string' }, seed: { type: 'string', default: '1' } },
});
const seed = Number(values.seed);
const [pairs, mutated] = [Number(values.pairs ?? 0), Number(values.mutated ?? 0)];
if (![seed, pairs, mutated].every(Number.isSafeInteger) || pairs + mutated <= 0) {
  console.error('Usage: npm run chaos:registry -- [--pairs N] [--mutated N] [--seed N]');
  process.exit(2);
}
let failed = 0;
if (pairs > 0) {
  await requireJudges();
  const result = await runPairs(seed, pairs, { onBatch: (done) => console.error(`${done} of ${pairs} pairs`) });
  for (const wrong of result.wrong) console.log(wrong);
  failed += result.wrong.length;
  console.log(`${pairs} pairs merged, ${result.wrong.length} things wrong`);
}
if (mutated > 0) {
  const counts: MutationCounts = { read: 0, refused: {}, slowestMs: 0 };
  for (let one = seed; one < seed + mutated; one += 1) {
    try {
      tryMutated(one, counts);
    } catch (error) {
      failed += 1;
      console.log(error instanceof Error ? error.message : error);
    }
    if ((one - seed) % 100_000 === 99_999) console.error(`${one - seed + 1} of ${mutated} mutated hives`);
  }
  console.log(`${mutated} mutated hives: ${JSON.stringify(counts)}`);
}
process.exit(failed === 0 ? 0 : 1);
