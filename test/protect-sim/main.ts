/**
 * `npm run chaos:protect -- --seeds N --from S [--story STORY] [--policy POLICY] [--sharing lane|mount] [--rewinds] [--sieves] [--jobs J] [--verbose]`
 *
 * Without `--sharing`, the primary writes into the auxiliary's area by itself with every even seed;
 * without `--sieves`, some types of message are lost and others are not with every third seed.
 * Simulated schedules of the `protect` engine. Prints every seed that fails with the line that
 * repeats it; exit code 1 when any did.
 */
import { parseArgs } from 'node:util';
import { POLICIES } from '../../src/routes/protect/engine/rules.ts';
import { again, type Share, shares } from '../tools/in-processes.ts';
import { runSchedule, STORIES } from './schedule.ts';

const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '10000' },
    from: { type: 'string', default: '1' },
    story: { type: 'string' },
    policy: { type: 'string' },
    sharing: { type: 'string' },
    verbose: { type: 'boolean', default: false },
    experiment: { type: 'string' },
    stop: { type: 'string', default: '10' },
    rewinds: { type: 'boolean', default: false },
    sieves: { type: 'boolean' },
    jobs: { type: 'string', default: '1' },
  },
});

const story = STORIES.find((each) => each === values.story);
const policy = POLICIES.find((each) => each === values.policy);
/** Rules that lose data, to see that it is seen: names of `Experiment`, `lyingDisks`, or `neverRevokes`. */
const { experiment } = values;
const first = Number(values.from);
const seeds = Number(values.seeds);
const totals = new Map<string, number>();
/** Schedules in one process: nothing of them is kept, and yet it is collected so late that 100,000 fill its memory. */
const MOST_IN_ONE = 10_000;
/** What went wrong, told again at the end. */
const failures: string[] = [];
let failed = 0;
let ran = 0;
const began = performance.now();
const jobs = Math.min(Number(values.jobs), seeds);
if (jobs > 1 || seeds > MOST_IN_ONE) {
  const parts = shares({ from: first, count: seeds }, Math.max(jobs, Math.ceil(seeds / MOST_IN_ONE)));
  const work = async () => {
    for (let part = parts.shift(); part !== undefined; part = parts.shift()) await playAside(part);
  };
  await Promise.all(Array.from({ length: jobs }, work));
} else await play();
const seconds = (performance.now() - began) / 1000;
for (const what of [...totals.keys()].sort()) console.log(`${what}: ${totals.get(what)}`);
for (const failure of failures) console.log(failure);
console.log(`${ran} schedules in ${seconds.toFixed(1)} s, ${failed} failed`);
process.exitCode = failed === 0 && ran === seeds ? 0 : 1;

/** Plays all seeds, in this process, until too many failed. */
async function play(): Promise<void> {
  for (let seed = first; seed < first + seeds && failed < Number(values.stop); seed += 1) {
    const outcome = await runSchedule({
      seed,
      story,
      policy,
      verbose: values.verbose,
      ...(experiment === undefined ? {} : { experiment: { [experiment]: true } }),
      lyingDisks: experiment === 'lyingDisks',
      rewinds: values.rewinds,
      sieves: values.sieves ?? seed % 3 === 0,
      neverRevokes: experiment === 'neverRevokes',
      mounted: values.sharing === undefined ? seed % 2 === 0 : values.sharing === 'mount',
    });
    ran += 1;
    for (const [what, count] of outcome.counts) totals.set(what, (totals.get(what) ?? 0) + count);
    totals.set(`story ${outcome.story}`, (totals.get(`story ${outcome.story}`) ?? 0) + 1);
    totals.set(`policy ${outcome.policy}`, (totals.get(`policy ${outcome.policy}`) ?? 0) + 1);
    if (values.verbose) for (const line of outcome.log) console.log(line);
    if (outcome.failure === undefined) continue;
    failed += 1;
    failures.push(`seed ${seed} (${outcome.story}, ${outcome.policy}): ${outcome.failure}`);
    failures.push(`  again: npm run chaos:protect -- --seeds 1 --from ${seed}${flagsAgain()} --verbose`);
  }
}

/** Plays a share of the seeds in a process of its own; what it counted is added to the totals. */
async function playAside({ from, count }: Share): Promise<void> {
  const own = ['--seeds', String(count), '--from', String(from), '--jobs', '1', '--stop', values.stop];
  const passed = (['story', 'policy', 'experiment', 'sharing'] as const).flatMap((name) =>
    values[name] === undefined ? [] : [`--${name}`, values[name]],
  );
  for (const name of ['rewinds', 'sieves'] as const) if (values[name]) passed.push(`--${name}`);
  await again([...own, ...passed], (line) => {
    const end = /^(\d+) schedules in .* s, (\d+) failed$/.exec(line);
    const total = /^([^:]+): (\d+)$/.exec(line);
    if (end) {
      ran += Number(end[1]);
      failed += Number(end[2]);
    } else if (total) totals.set(total[1] as string, (totals.get(total[1] as string) ?? 0) + Number(total[2]));
    else failures.push(line);
  });
}

function flagsAgain(): string {
  return `${story ? ` --story ${story}` : ''}${policy ? ` --policy ${policy}` : ''}${values.sharing ? ` --sharing ${values.sharing}` : ''}${values.rewinds ? ' --rewinds' : ''}${values.sieves ? ' --sieves' : ''}`;
}
