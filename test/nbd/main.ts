/** `npm run fuzz:nbd -- --requests 1000000 --seed 1 --lanes 2` (test/README.md). */
import { parseArgs } from 'node:util';
import { fuzz } from './fuzz.ts';

const { values } = parseArgs({
  options: { requests: { type: 'string' }, seed: { type: 'string' }, lanes: { type: 'string' } },
});
const number = (name: keyof typeof values, preset: number): number => {
  const value = Number(values[name] ?? preset);
  if (!Number.isInteger(value) || value <= 0) throw new Error(`--${name} needs a whole number above zero`);
  return value;
};
const began = performance.now();
let told = 0;
const result = await fuzz({
  requests: number('requests', 1_000_000),
  seed: number('seed', 1),
  lanes: number('lanes', 2),
  progress: (requests) => {
    if (requests - told < 100_000) return;
    told = requests;
    process.stderr.write(`${requests} requests, ${(process.memoryUsage.rss() / 2 ** 20).toFixed(0)} MiB\n`);
  },
});
const seconds = (performance.now() - began) / 1000;
console.log(
  JSON.stringify({
    ...result,
    seconds: Math.round(seconds),
    rssMiB: Math.round(process.resourceUsage().maxRSS / 1024),
  }),
);
process.exitCode = result.failure === undefined ? 0 : 1;
