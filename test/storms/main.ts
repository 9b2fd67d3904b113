/**
 * `npm run chaos:remodel -- --seed N --runs M [--jobs J] [--faults K] [--broker none|rabbitmq|nats|mixed] [--verbose]`
 *
 * Whole lives of a remodel under kills. Prints a line per seed as they end; exit code 1 when any went wrong.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { type BrokerKind, Lane } from './lane.ts';
import { compilePrograms } from './programs.ts';
import type { StormResult, Strike } from './storm.ts';

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: '1' },
    runs: { type: 'string', default: '10' },
    jobs: { type: 'string', default: '2' },
    faults: { type: 'string', default: '10' },
    broker: { type: 'string', default: 'mixed' },
    verbose: { type: 'boolean', default: false },
  },
});

const BROKERS = ['none', 'rabbitmq', 'nats'] as const;
const LAST_LINES = 60;
/** Whole logs of those that went wrong. */
const LOGS = '.godwit/storm-logs';

const first = Number(values.seed);
const runs = Number(values.runs);
const seeds = Array.from({ length: runs }, (_, i) => first + i);
const results: StormResult[] = [];
let well = 0;
/** What stands against each of the others, told again at the end. */
const against: string[] = [];

const programs = await compilePrograms();
const began = performance.now();
await Promise.all(Array.from({ length: Math.min(runs, Number(values.jobs)) }, work));
await programs.guard.close();
const minutes = ((performance.now() - began) / 60_000).toFixed(1);
console.log(`struck: ${counted(results.flatMap(({ strikes }) => strikes).map(({ kind }) => kind))}`);
console.log(`while it went to: ${counted(results.flatMap(({ strikes }) => strikes).map(({ phase }) => phase))}`);
const each = results.map(({ seconds }) => seconds).sort((a, b) => a - b);
console.log(`a storm took ${each[0]?.toFixed(0)} to ${each.at(-1)?.toFixed(0)} s, all of them ${minutes} minutes`);
for (const why of against) console.log(`not well: ${why}`);
console.log(`${well} of ${runs} storms well`);
process.exit(well === runs ? 0 : 1);

/** Takes the next seed until there is none. Servers of a storm that broke down are not used again. */
async function work(): Promise<void> {
  let lane: Lane | undefined;
  for (let seed = seeds.shift(); seed !== undefined; seed = seeds.shift()) {
    lane ??= await Lane.open(programs);
    if (await runOne(lane, seed)) continue;
    await lane.close();
    lane = undefined;
  }
  await lane?.close();
}

/** Gives whether the servers may go on. */
async function runOne(lane: Lane, seed: number): Promise<boolean> {
  const lines: string[] = [];
  const log = (line: string) => {
    const stamped = `${new Date().toISOString().slice(11, 23)} ${line}`;
    lines.push(stamped);
    if (values.verbose) console.log(`  ${seed} ${stamped}`);
  };
  const broker = brokerOf(seed);
  let result: StormResult;
  try {
    result = await lane.storm({ seed, faults: Number(values.faults), broker, log });
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    against.push(`seed ${seed}: ${why}`);
    console.log(`seed ${seed}: FAILED  ${why}${tail(seed, lines)}`);
    return false;
  }
  results.push(result);
  const { wrong } = result;
  const line = `${told(result, broker)}${wrong
    .slice(0, 10)
    .map((what) => `\n  ${what}`)
    .join('')}`;
  if (wrong.length === 0) {
    well += 1;
    console.log(`seed ${seed}: WELL  ${line}`);
  } else {
    against.push(`seed ${seed}: ${wrong[0]}`);
    console.log(`seed ${seed}: WRONG  ${line}${tail(seed, lines)}`);
  }
  return wrong.length === 0;
}

/** The end of a storm's log, and where all of it is. */
function tail(seed: number, lines: readonly string[]): string {
  mkdirSync(LOGS, { recursive: true });
  const file = `${LOGS}/seed-${seed}.log`;
  writeFileSync(file, `${lines.join('\n')}\n`);
  const last = values.verbose ? [] : lines.slice(-LAST_LINES);
  return [`\n  whole log: ${file}`, ...last.map((line) => `  | ${line}`)].join('\n');
}

function told({ counts, strikes, end, seconds }: StormResult, broker: BrokerKind): string {
  const { writes, reads, unknown, failed } = counts;
  const did = `${writes} writes, ${reads} reads, ${unknown} unknown, ${failed} failed`;
  return `${end}, broker ${broker}, ${did}, ${seconds.toFixed(0)} s  struck: ${counted(strikes.map(({ kind }: Strike) => kind))}`;
}

function counted(names: readonly string[]): string {
  const counts = new Map<string, number>();
  for (const name of names) counts.set(name, (counts.get(name) ?? 0) + 1);
  return [...counts].map(([name, n]) => `${name} ${n}`).join(', ') || 'nothing';
}

function brokerOf(seed: number): BrokerKind {
  if (values.broker === 'mixed') return seed % 5 === 4 ? 'rabbitmq' : seed % 5 === 2 ? 'nats' : 'none';
  const found = BROKERS.find((kind) => kind === values.broker);
  if (!found) throw new Error(`--broker takes mixed, ${BROKERS.join(', ')}`);
  return found;
}
