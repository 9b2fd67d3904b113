/**
 * `npm run stress:remodel -- [--verifies N] [--rate W] [--customers N] …`: is `godwit remodel verify` exact while an
 * application writes through the library? Exit code 1 when a comparison raised a false alarm or missed a fault, when
 * an acknowledged write was lost, or when the application did not reach its rate.
 */
import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { FAULTS } from './faults.ts';
import { type Engine, stress } from './stress.ts';
import { summaryOf, textOf } from './summary.ts';

const { values } = parseArgs({
  options: {
    verifies: { type: 'string', default: '200' },
    rate: { type: 'string', default: '5000' },
    pace: { type: 'string' },
    customers: { type: 'string', default: '10000' },
    'fault-every': { type: 'string', default: '4' },
    engines: { type: 'string', default: 'live,duckdb' },
    processes: { type: 'string', default: '2' },
    connections: { type: 'string', default: '4' },
    batch: { type: 'string', default: '50' },
    'compare-rate': { type: 'string', default: '2500' },
    seed: { type: 'string', default: '1' },
    json: { type: 'boolean', default: false },
    out: { type: 'string' },
  },
});

const ENGINES: readonly Engine[] = ['live', 'duckdb', 'spark'];

function number(name: Exclude<keyof typeof values, 'engines' | 'json' | 'out'>): number {
  const value = Number(values[name]);
  if (!Number.isFinite(value) || value <= 0) throw new Error(`--${name} needs a number above zero`);
  return value;
}

const engines = values.engines.split(',').map((name) => {
  const engine = ENGINES.find((each) => each === name);
  if (engine === undefined) throw new Error(`--engines takes ${ENGINES.join(', ')}`);
  return engine;
});
const rate = number('rate');

// Servers and processes are ended by handlers of `exit`.
process.on('SIGINT', () => process.exit(130));
process.on('SIGTERM', () => process.exit(143));
const log = (line: string) => void process.stderr.write(`${new Date().toISOString().slice(11, 23)} ${line}\n`);
log(`${FAULTS.length} kinds of faults`);
const result = await stress({
  customers: number('customers'),
  verifies: number('verifies'),
  faultEvery: number('fault-every'),
  engines,
  processes: number('processes'),
  connections: number('connections'),
  batch: number('batch'),
  // Somewhat more, so that the pauses of the machine are made up for.
  pace: values.pace === undefined ? rate * 1.1 : number('pace'),
  compareRate: number('compare-rate'),
  seed: number('seed'),
  log,
});
const summary = summaryOf(result, rate);
if (values.out !== undefined)
  writeFileSync(values.out, `${JSON.stringify({ summary, looks: result.looks }, undefined, 2)}\n`);
process.stdout.write(values.json ? `${JSON.stringify(summary)}\n` : `${textOf(summary)}\n`);
process.exit(summary.ok ? 0 : 1);
