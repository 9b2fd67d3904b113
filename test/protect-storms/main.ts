/**
 * `npm run storms:protect -- --seed N --runs M [--faults K] [--verbose]`
 *
 * Three real processes under SIGKILL and SIGSTOP; then the primary is lost. Exit code 1 when anything was.
 */
import { parseArgs } from 'node:util';
import { playStorm } from './storm.ts';

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: '1' },
    runs: { type: 'string', default: '10' },
    faults: { type: 'string', default: '4' },
    verbose: { type: 'boolean', default: false },
  },
});

const runs = Number(values.runs);
const faults = Number(values.faults);
let well = 0;
for (let seed = Number(values.seed); seed < Number(values.seed) + runs; seed += 1) {
  const lines: string[] = [];
  const log = (line: string) => {
    lines.push(`${new Date().toISOString().slice(11, 23)} ${line}`);
    if (values.verbose) console.log(`  ${seed} ${lines.at(-1)}`);
  };
  const began = performance.now();
  const { wrong, acknowledged, strikes } = await playStorm({ seed, faults, log }).catch((error: unknown) => ({
    wrong: [error instanceof Error ? (error.stack ?? error.message) : String(error)],
    acknowledged: 0,
    strikes: 0,
  }));
  const seconds = ((performance.now() - began) / 1000).toFixed(1);
  if (wrong.length === 0) well += 1;
  else for (const line of [...lines, ...wrong.slice(0, 10)]) console.log(`  ${line}`);
  console.log(
    `seed ${seed}: ${wrong.length === 0 ? 'well' : 'WRONG'}, ${acknowledged} writes, ${strikes} strikes, ${seconds} s`,
  );
}
console.log(`${well} of ${runs} storms well`);
process.exit(well === runs ? 0 : 1);
