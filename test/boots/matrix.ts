/**
 * `npm run boot-matrix [-- --jobs N --from CONTROLLER,… --fresh]`
 *
 * Every controller to every other one, each with its control. What was seen is kept, so that a run that was ended goes
 * on; the table of all that was seen is printed at the end. Exit code 1 when anything is not as it must be.
 */
import { existsSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { ProcessGuard } from '../servers/process-guard.ts';
import { CONTROLLERS, cardOf, controller, SOURCE_CARD, targetOf } from './controllers.ts';
import { cacheDir } from './debian.ts';
import { installTools } from './packages.ts';
import type { PairResult } from './pair.ts';
import { movedAtRest, type Run, tryTarget } from './run.ts';
import { recipe } from './source.ts';
import { makeTools } from './tools.ts';
import { makeWorkDir } from './work-dir.ts';

const NAMES = CONTROLLERS.map(({ name }) => name);
const { values } = parseArgs({
  options: {
    // Pairs that are tried at the same time, of two machines each.
    jobs: { type: 'string', default: '1' },
    from: { type: 'string', default: NAMES.join(',') },
    fresh: { type: 'boolean', default: false },
  },
});

const startedAt = performance.now();
const say = (line: string) =>
  console.log(`${((performance.now() - startedAt) / 1000).toFixed(0).padStart(5)} s  ${line}`);

const file = join(cacheDir(), `matrix-${recipe()}.json`);
const seen: PairResult[] =
  !values.fresh && existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as PairResult[]) : [];

/** What is not well is tried again by the next run. */
function note(pair: PairResult): void {
  const at = seen.findIndex(({ from, to }) => from === pair.from && to === pair.to);
  if (at >= 0) seen.splice(at, 1);
  seen.push(pair);
  writeFileSync(`${file}.part`, JSON.stringify(seen));
  renameSync(`${file}.part`, file);
  const boot = pair.adapted === undefined ? 'does not serve' : `serves ${pair.adapted.toFixed(1)} s after power on`;
  say(`${pair.from} → ${pair.to}: adapted, it ${boot}; not adapted, it ${pair.control}`);
  for (const what of pair.wrong) console.log(`✗ ${pair.from} → ${pair.to}: ${what}`);
}

const isWell = (from: string, to: string) =>
  seen.some((pair) => pair.from === from && pair.to === to && pair.wrong.length === 0);

async function tryAll(run: Run, names: readonly string[]): Promise<void> {
  const moved = await movedAtRest(run);
  const left = [...names];
  const work = async () => {
    for (let name = left.shift(); name !== undefined; name = left.shift())
      note(await tryTarget(run, targetOf(name), moved));
  };
  await Promise.all(Array.from({ length: Number(values.jobs) }, work));
  rmSync(moved.disk.image, { force: true });
}

function cell(from: string, to: string): string {
  const pair = seen.find((one) => one.from === from && one.to === to);
  if (pair === undefined) return '–';
  if (pair.wrong.length > 0) return 'FAILED';
  return `${pair.adapted?.toFixed(0)} s`;
}

function table(): string {
  const head = ['from \\ to', ...NAMES.map((name) => `${name}, ${cardOf(name).device}`)];
  const rows = NAMES.map((from) => [`${from}, ${SOURCE_CARD.device}`, ...NAMES.map((to) => cell(from, to))]);
  return [head, head.map(() => '---'), ...rows].map((row) => `| ${row.join(' | ')} |`).join('\n');
}

const dir = makeWorkDir();
const guard = new ProcessGuard(dir);
let broke = '';
try {
  await installTools();
  const shares = await makeTools(dir);
  for (const from of values.from.split(',')) {
    const names = NAMES.filter((to) => !isWell(from, to));
    if (names.length > 0) await tryAll({ from: controller(from), dir, guard, say, shares }, names);
  }
} catch (error) {
  broke = error instanceof Error ? (error.stack ?? error.message) : String(error);
} finally {
  guard.cleanUpNow();
  rmSync(dir, { recursive: true, force: true });
}
if (broke !== '') console.log(`✗ ${broke}`);
const well = seen.filter((pair) => pair.wrong.length === 0);
console.log(`\n${table()}\n`);
console.log(
  `${seen.length} of ${NAMES.length ** 2} pairs tried: ${well.length} of ${seen.length} pairs well, each beside its control that did not come up`,
);
process.exit(broke === '' && well.length === seen.length && seen.length > 0 ? 0 : 1);
