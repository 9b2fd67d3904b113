/**
 * `npm run storms:protect -- --seed N --runs M [--faults K] [--jobs J] [--verbose]`
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
    jobs: { type: 'string', default: '1' },
    verbose: { type: 'boolean', default: false },
  },
});

const runs = Number(values.runs);
const faults = Number(values.faults);
const seeds = Array.from({ length: runs }, (_, i) => Number(values.seed) + i);
let well = 0;
await Promise.all(Array.from({ length: Math.min(runs, Number(values.jobs)) }, work));
console.log(`${well} of ${runs} storms well`);
process.exit(well === runs ? 0 : 1);

/** Takes the next seed until there is none. */
async function work(): Promise<void> {
  for (let seed = seeds.shift(); seed !== undefined; seed = seeds.shift()) await play(seed);
}

async function play(seed: number): Promise<void> {
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
