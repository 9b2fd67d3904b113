/** `npm run chaos:remodel -- --seed N --runs M [--faults K] [--broker none|rabbitmq|nats|mixed] [--verbose]`. */
import { parseArgs } from 'node:util';
import { type BrokerKind, storm } from './storm.ts';

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: '1' },
    runs: { type: 'string', default: '10' },
    faults: { type: 'string', default: '8' },
    broker: { type: 'string', default: 'mixed' },
    verbose: { type: 'boolean', default: false },
  },
});

const BROKERS = ['none', 'rabbitmq', 'nats'] as const;

function brokerOf(seed: number): BrokerKind {
  if (values.broker === 'mixed') return seed % 5 === 4 ? 'rabbitmq' : seed % 5 === 2 ? 'nats' : 'none';
  const found = BROKERS.find((kind) => kind === values.broker);
  if (!found) throw new Error(`--broker takes mixed, ${BROKERS.join(', ')}`);
  return found;
}

const first = Number(values.seed);
let well = 0;
let failed = 0;
for (let seed = first; seed < first + Number(values.runs); seed += 1) {
  const lines: string[] = [];
  const log = (line: string) => {
    const stamped = `${new Date().toISOString().slice(11, 23)} ${line}`;
    lines.push(stamped);
    if (values.verbose) console.log(`  ${stamped}`);
  };
  const broker = brokerOf(seed);
  try {
    const { wrong, writes, reads, unknown, kills, end, seconds } = await storm({
      seed,
      faults: Number(values.faults),
      broker,
      log,
    });
    const killed = Object.entries(kills)
      .map(([kind, n]) => `${kind} ${n}`)
      .join(', ');
    console.log(
      `seed ${seed}: ${wrong.length === 0 ? 'WELL' : 'WRONG'}  ${end}, broker ${broker}, ${writes} writes, ${reads} reads, ${unknown} unknown, ${seconds.toFixed(0)} s  killed: ${killed || 'nothing'}`,
    );
    if (wrong.length === 0) well += 1;
    else {
      failed += 1;
      for (const what of wrong.slice(0, 10)) console.log(`  ${what}`);
    }
    if (wrong.length > 0 && !values.verbose) for (const line of lines.slice(-60)) console.log(`  | ${line}`);
  } catch (error) {
    failed += 1;
    console.log(`seed ${seed}: FAILED  ${error instanceof Error ? error.message : String(error)}`);
    if (!values.verbose) for (const line of lines.slice(-60)) console.log(`  | ${line}`);
  }
}
console.log(`${well} of ${well + failed} storms well`);
process.exit(failed === 0 ? 0 : 1);
