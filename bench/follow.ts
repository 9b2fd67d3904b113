/** `npm run bench:follow`: how fast changes are applied, how far behind, how fast it is proved, what neighbours feel (bench/README.md). */
import { CACHE_GB, workDirectory } from './lib/clusters.ts';
import { godwitCli } from './lib/godwit.ts';
import { describeMachine, machineLine } from './lib/machine.ts';
import { Flags, runMain, saveJson } from './lib/main.ts';
import { note, type Verdict, verdictLine } from './lib/print.ts';
import { benchBacklog } from './parts/backlog.ts';
import { benchLag } from './parts/lag.ts';
import { benchNeighbour } from './parts/neighbour.ts';
import { benchVerify } from './parts/verify.ts';

const PARTS = ['backlog', 'lag', 'verify', 'neighbour'] as const;

await runMain(async () => {
  const flags = new Flags({
    operations: { type: 'string' },
    documents: { type: 'string' },
    'verify-documents': { type: 'string' },
    bytes: { type: 'string' },
    rate: { type: 'string' },
    'hot-rate': { type: 'string' },
    seconds: { type: 'string' },
    'neighbour-rate': { type: 'string' },
    'neighbour-documents': { type: 'string' },
    only: { type: 'string' },
    repeat: { type: 'string' },
    json: { type: 'string' },
    'godwit-flags': { type: 'string' },
  });
  const only = flags.list('only') ?? PARTS;
  const unknown = only.filter((part) => !(PARTS as readonly string[]).includes(part));
  if (unknown.length > 0) throw new Error(`--only takes ${PARTS.join(', ')}`);
  godwitCli(); // says now, and not after the loading, that it must be built
  const machine = await describeMachine();
  const common = {
    documents: flags.number('documents', 200_000),
    bytes: flags.number('bytes', 1100),
    workDir: workDirectory(),
    godwitFlags: flags.words('godwit-flags'),
  };
  const seconds = flags.number('seconds', 30);
  const parts: Record<(typeof PARTS)[number], () => Promise<{ readonly verdicts: readonly Verdict[] }>> = {
    backlog: () =>
      benchBacklog({ ...common, operations: flags.number('operations', 300_000), repeat: flags.number('repeat', 1) }),
    lag: () =>
      benchLag({ ...common, rate: flags.number('rate', 3000), hotRate: flags.number('hot-rate', 500), seconds }),
    verify: () => benchVerify({ ...common, documents: flags.number('verify-documents', 1_500_000) }),
    neighbour: () =>
      benchNeighbour({
        ...common,
        documents: flags.number('neighbour-documents', 500_000),
        rate: flags.number('neighbour-rate', 400),
        quietSeconds: seconds,
      }),
  };
  const results: Record<string, unknown> = {};
  const verdicts: Verdict[] = [];
  console.log(`single-member clusters on one machine, cache ${CACHE_GB} GB each\n${machineLine(machine)}`);
  for (const part of PARTS.filter((each) => only.includes(each))) {
    note(`--- ${part}`);
    const result = await parts[part]();
    results[part] = result;
    verdicts.push(...result.verdicts);
  }
  console.log('');
  for (const verdict of verdicts) console.log(verdictLine(verdict));
  saveJson(flags.text('json'), { benchmark: 'follow', machine, options: flags.all, results, verdicts });
});
