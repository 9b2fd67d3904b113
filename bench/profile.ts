/**
 * `npx tsx bench/profile.ts [--documents N] [--until copied|verified] [--out DIR]`: where the migrator
 * spends its CPU. Writes a `.cpuprofile` for Chrome's DevTools or VS Code, and prints what was busiest.
 */
import { mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { loadDataset } from './dataset.ts';
import { assertCopied, Side, workDirectory } from './lib/clusters.ts';
import { GodwitProcess } from './lib/godwit.ts';
import { Flags, runMain } from './lib/main.ts';
import { cell, note, table } from './lib/print.ts';
import { NAME, runArgs } from './parts/tools.ts';

interface CpuProfile {
  readonly nodes: readonly {
    readonly id: number;
    readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number };
  }[];
  readonly samples: readonly number[];
  readonly timeDeltas: readonly number[];
}

const SHOWN = 25;

await runMain(async () => {
  const flags = new Flags({
    documents: { type: 'string' },
    bytes: { type: 'string' },
    until: { type: 'string' },
    out: { type: 'string' },
  });
  const out = resolve(flags.text('out') ?? join(tmpdir(), 'godwit-profile'));
  mkdirSync(out, { recursive: true });
  const documents = flags.number('documents', 300_000);
  await using source = await Side.start('source');
  await loadDataset(source.cluster, NAME.db, NAME.collection, {
    documents,
    bytes: flags.number('bytes', 1100),
    id: 'string',
  });
  await using target = await Side.start('target');
  const args = [
    'run',
    ...runArgs(source, target, workDirectory(), 'profile'),
    '--until',
    flags.text('until') ?? 'copied',
  ];
  const known = new Set(readdirSync(out));
  const exit = await new GodwitProcess(args, { nodeFlags: ['--cpu-prof', `--cpu-prof-dir=${out}`] }).end();
  await assertCopied(target, NAME, documents);
  note(`${cell(exit.seconds)} s, CPU ${cell(exit.cpuSeconds)} s, RSS ${cell(exit.peakRssMiB, 0)} MiB`);
  for (const file of readdirSync(out)) if (!known.has(file) && file.endsWith('.cpuprofile')) show(join(out, file));
});

/** Time by function, its own and not that of what it called. */
function show(file: string): void {
  const profile = JSON.parse(readFileSync(file, 'utf8')) as CpuProfile;
  const byId = new Map(profile.nodes.map((node) => [node.id, node.callFrame]));
  const spent = new Map<string, number>();
  profile.samples.forEach((id, i) => {
    const frame = byId.get(id);
    const name = `${frame?.functionName || '(anonymous)'} ${(frame?.url ?? '').split('/').slice(-2).join('/')}:${(frame?.lineNumber ?? 0) + 1}`;
    spent.set(name, (spent.get(name) ?? 0) + (profile.timeDeltas[i] ?? 0));
  });
  const busiest = [...spent].sort((a, b) => b[1] - a[1]).slice(0, SHOWN);
  console.log(`\n${file}\n`);
  console.log(
    table(
      ['function', 'ms'],
      busiest.map(([name, micros]) => [name, cell(micros / 1000, 0)]),
    ),
  );
}
