/**
 * `npm run chaos -- --seed N --runs M [--faults K] [--rate OPS] [--only REGEX] [--without REGEX] [--keep] [--json] [--verbose]`
 *
 * Migrations under torture and faults. Prints a line per run; exit code 1 when any of them did not end
 * byte-identical. Run i of seed N is run 0 of seed N+i, so that each can be repeated alone.
 */
import { existsSync } from 'node:fs';
import { cp, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { type Aftermath, runOnce } from './one-run.ts';

const { values: flags } = parseArgs({
  options: {
    seed: { type: 'string', default: '1' },
    runs: { type: 'string', default: '1' },
    faults: { type: 'string', default: '5' },
    rate: { type: 'string' },
    only: { type: 'string' },
    without: { type: 'string' },
    keep: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
    verbose: { type: 'boolean', default: false },
  },
});

const firstSeed = Number(flags.seed);
const runs = Number(flags.runs);
const only = flags.only === undefined ? undefined : new RegExp(flags.only);
const without = flags.without === undefined ? undefined : new RegExp(flags.without);
const say = flags.json ? (text: string) => process.stderr.write(`${text}\n`) : (text: string) => console.log(text);
const wrong: number[] = [];
const seeds: number[] = [];

for (let seed = firstSeed; seed < firstSeed + runs; seed += 1) {
  seeds.push(seed);
  if (!(await attempt(seed))) wrong.push(seed);
}
const equal = seeds.length - wrong.length;
if (flags.json) console.log(JSON.stringify({ runs, equal, different: wrong.length, seeds, failed: wrong }));
else say(`${equal} of ${runs} equal${wrong.length > 0 ? `; not: ${wrong.join(', ')}` : ''}`);
process.exit(wrong.length === 0 ? 0 : 1);

/** Runs one seed; whether it ended equal. */
async function attempt(seed: number): Promise<boolean> {
  const dir = await mkdtemp(join(tmpdir(), `godwit-chaos-${seed}-`));
  let aftermath: Aftermath | undefined;
  try {
    aftermath = await runOnce({
      seed,
      faults: Number(flags.faults),
      dir,
      say: flags.verbose ? (text) => say(`    ${text}`) : () => {},
      kinds: (name) => (only?.test(name) ?? true) && !(without?.test(name) ?? false),
      ...(flags.rate === undefined ? {} : { rate: Number(flags.rate) }),
    });
  } catch (error) {
    say(
      `seed ${seed}: BROKEN before a verdict: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`,
    );
    say(`  kept: ${dir}`);
    return false;
  }
  const { verdict } = aftermath;
  say(
    `seed ${seed}: ${verdict.equal ? 'EQUAL' : 'DIFFERENT'}  ${verdict.documents} documents, ${(verdict.bytes / 1e6).toFixed(1)} MB, ` +
      `${verdict.operations} operations, ${verdict.restarts} restarts, ${verdict.seconds.toFixed(0)} s  faults: ${verdict.faults.join(' ')}`,
  );
  for (const surprise of verdict.surprises.slice(0, 5)) say(`  the workload met: ${surprise.slice(0, 300)}`);
  if (!verdict.equal) {
    for (const problem of verdict.problems.slice(0, 30)) say(`  ${problem}`);
    const again = [
      '--seed',
      seed,
      '--runs',
      1,
      '--faults',
      flags.faults,
      ...['rate', 'only', 'without'].flatMap((name) => again1(name)),
    ];
    say(`  again: npm run chaos -- ${again.join(' ')}`);
    if (flags.keep) await linger(aftermath);
    await keepLogs(dir);
    say(`  kept: ${dir}`);
  }
  await aftermath.close();
  if (verdict.equal) await rm(dir, { recursive: true, force: true });
  return verdict.equal;
}

function again1(name: string): string[] {
  const value = flags[name as 'only'];
  return value === undefined ? [] : [`--${name}`, `'${value}'`];
}

/** The servers stay until Ctrl-C or Enter. */
async function linger({ sourceUri, targetUri }: Aftermath): Promise<void> {
  say(`  source: ${sourceUri}\n  target: ${targetUri}\n  The servers stay until Enter is pressed.`);
  await new Promise<void>((resolve) => {
    process.stdin.once('data', () => resolve());
    process.stdin.once('end', () => resolve());
  });
}

/** The sets remove their directories when they stop; what mongod said is worth more than they are. */
async function keepLogs(dir: string): Promise<void> {
  for (const name of await readdir(dir)) {
    if (!name.startsWith('godwit-') || !existsSync(join(dir, name))) continue;
    for (const file of await readdir(join(dir, name))) {
      if (file.endsWith('.log')) await cp(join(dir, name, file), join(dir, `${name}-${file}`));
    }
  }
}
