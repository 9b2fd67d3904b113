/** `npm run bench:copy`: how fast an initial copy is beside its rivals and its ceiling (bench/README.md). */
import { CACHE_GB, workDirectory } from './lib/clusters.ts';
import { compareCopies, comparisonTable, copyVerdicts } from './lib/compare-copies.ts';
import { allContenders } from './lib/contenders.ts';
import { godwitCli } from './lib/godwit.ts';
import { describeMachine, machineLine } from './lib/machine.ts';
import { Flags, runMain, saveJson } from './lib/main.ts';
import { verdictLine } from './lib/print.ts';
import { compareShapes } from './shapes.ts';

await runMain(async () => {
  const flags = new Flags({
    documents: { type: 'string' },
    bytes: { type: 'string' },
    id: { type: 'string' },
    only: { type: 'string' },
    repeat: { type: 'string' },
    json: { type: 'string' },
    'godwit-flags': { type: 'string' },
    shapes: { type: 'boolean' },
    scale: { type: 'string' },
  });
  const id = flags.text('id') ?? 'string';
  if (id !== 'string' && id !== 'objectid') throw new Error('--id is string or objectid');
  const only = flags.list('only');
  const all = allContenders({ godwitFlags: flags.words('godwit-flags'), nodeFlags: [] });
  const contenders = all.filter((contender) => only === undefined || only.includes(contender.name));
  if (contenders.length === 0) throw new Error(`--only takes ${[...new Set(all.map((each) => each.name))].join(', ')}`);
  godwitCli(); // says now, and not after the loading, that it must be built
  const machine = await describeMachine();
  const common = { contenders, repeat: flags.number('repeat', 1), workDir: workDirectory() };

  if (flags.isOn('shapes')) {
    const shapes = await compareShapes({ ...common, scale: flags.number('scale', 1) });
    console.log(`\n${machineLine(machine)}`);
    return saveJson(flags.text('json'), { benchmark: 'shapes', machine, options: flags.all, shapes });
  }
  const dataset = { documents: flags.number('documents', 1_500_000), bytes: flags.number('bytes', 1100), id } as const;
  const comparison = await compareCopies({ ...common, dataset });
  const verdicts = copyVerdicts(comparison);
  console.log(
    `\n${dataset.documents} documents of ${dataset.bytes} bytes (${Math.round(comparison.bytes / 1e6)} MB), ${id} ids, two secondary indexes`,
  );
  console.log(`single-member clusters on one machine, cache ${CACHE_GB} GB each side; median of ${common.repeat}`);
  console.log(`${machineLine(machine)}\n`);
  console.log(comparisonTable(comparison));
  console.log('');
  for (const verdict of verdicts) console.log(verdictLine(verdict));
  saveJson(flags.text('json'), { benchmark: 'copy', machine, options: flags.all, comparison, verdicts });
});
