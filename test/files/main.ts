/** `npm run chaos:relocate -- [--runs N] [--seed S] [--jobs J]`: more of what the tests do a slice of. A seed that fails is printed and repeats. */
import { parseArgs } from 'node:util';
import { again, type Share, shares } from '../tools/in-processes.ts';
import { FILE_SYSTEMS, type FileSystem, type Mounted, mountFresh } from './file-system.ts';
import { tryCaptured } from './model.ts';
import { needPrograms } from './packages.ts';

const { values } = parseArgs({
  options: {
    runs: { type: 'string', default: '300' },
    seed: { type: 'string', default: '1' },
    jobs: { type: 'string', default: '2' },
  },
});
const [runs, first] = [Number(values.runs), Number(values.seed)];
const jobs = Math.min(Number(values.jobs), runs);
if (!Number.isSafeInteger(runs) || !Number.isSafeInteger(first) || runs <= 0 || !(jobs >= 1)) {
  console.error('Usage: npm run chaos:relocate -- [--runs N] [--seed S] [--jobs J]');
  process.exit(2);
}
await needPrograms('python3');
const sum = { done: 0, lost: 0, rounds: 0, told: 0 };
let failed = 0;
if (jobs > 1) await Promise.all(shares({ from: first, count: runs }, jobs).map(playAside));
else await play();
console.log(
  `${sum.done} operations, ${sum.rounds} rounds (${sum.told} of them by what they were told), ${sum.lost} losses`,
);
console.log(`${runs - failed} of ${runs} runs well`);
process.exit(failed === 0 ? 0 : 1);

/** Plays all of them, in this process. */
async function play(): Promise<void> {
  const mounted: Mounted[] = [];
  const mounting = async () => {
    mounted.push(await mountFresh(FILE_SYSTEMS[mounted.length >> 1] as FileSystem, 2_000));
    return (mounted.at(-1) as Mounted).dir;
  };
  try {
    const pairs: (readonly [source: string, target: string])[] = [];
    for (const _ of FILE_SYSTEMS) pairs.push([await mounting(), await mounting()]);
    for (let run = 0; run < runs; run += 1) {
      const seed = first + run;
      // The seed decides the file system, too, so that it repeats.
      const which = Math.floor(seed / 3) % pairs.length;
      const [source, target] = pairs[which] as (typeof pairs)[number];
      try {
        const tried = await tryCaptured(seed, source, target);
        for (const key of ['done', 'lost', 'rounds', 'told'] as const) sum[key] += tried[key];
      } catch (error) {
        failed += 1;
        console.log(`${FILE_SYSTEMS[which]}: ${error instanceof Error ? error.message : String(error)}`);
      }
      if (run % 50 === 49) console.error(`${run + 1} of ${runs} runs, ${failed} failed`);
    }
  } finally {
    for (const each of mounted) await each[Symbol.asyncDispose]();
  }
}

/** Plays a share in a process of its own. */
async function playAside({ from, count }: Share): Promise<void> {
  let well = 0;
  await again(['--runs', String(count), '--seed', String(from), '--jobs', '1'], (line) => {
    const counted = /^(\d+) operations, (\d+) rounds \((\d+) .*\), (\d+) losses$/.exec(line);
    const end = /^(\d+) of \d+ runs well$/.exec(line);
    if (counted)
      for (const [i, key] of (['done', 'rounds', 'told', 'lost'] as const).entries())
        sum[key] += Number(counted[i + 1]);
    else if (end) well = Number(end[1]);
    else console.log(line);
  });
  failed += count - well;
}
