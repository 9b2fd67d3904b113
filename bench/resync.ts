/** `npm run bench:resync`: what a lost log costs, and that a small one is not lost (bench/README.md). */
import { workDirectory } from './lib/clusters.ts';
import { godwitCli } from './lib/godwit.ts';
import { describeMachine, machineLine } from './lib/machine.ts';
import { Flags, runMain, saveJson } from './lib/main.ts';
import { type Verdict, verdictLine } from './lib/print.ts';
import { measureGap } from './parts/gap.ts';
import { measureSmallLog } from './parts/small-log.ts';

await runMain(async () => {
  const flags = new Flags({
    documents: { type: 'string' },
    bytes: { type: 'string' },
    only: { type: 'string' },
    changed: { type: 'string' },
    times: { type: 'string' },
    'copy-mbps': { type: 'string' },
    json: { type: 'string' },
  });
  const only = flags.list('only') ?? ['gap', 'small-log'];
  godwitCli(); // says now, and not after the loading, that it must be built
  const machine = await describeMachine();
  const documents = flags.number('documents', 1_500_000);
  const common = { documents, bytes: flags.number('bytes', 1100), workDir: workDirectory() };
  const verdicts: Verdict[] = [];
  const results: Record<string, unknown> = {};
  if (only.includes('gap')) {
    const gap = await measureGap({ ...common, changed: flags.number('changed', 0.01) });
    results['gap'] = gap;
    verdicts.push(
      { what: 'resync to proven equality ÷ copy alone', value: gap.resyncSeconds / gap.copySeconds, atMost: 0.2 },
      { what: 'resync to proven equality ÷ starting over', value: gap.resyncSeconds / gap.fullSeconds, atMost: 0.2 },
    );
  }
  if (only.includes('small-log')) {
    const small = await measureSmallLog({
      ...common,
      times: flags.number('times', 5),
      copyMbps: flags.number('copy-mbps', 12),
    });
    results['smallLog'] = small;
    verdicts.push(
      { what: 'written during the copy ÷ size of the oplog', value: small.writtenTimes, atLeast: small.askedTimes },
      { what: 'resyncs and restarts', value: small.restarts, atMost: 0 },
    );
  }
  console.log(`\n${documents} documents of ${common.bytes} bytes, string ids, two secondary indexes, oplog of 990 MB`);
  console.log(`${machineLine(machine)}\n`);
  console.log(JSON.stringify(results, undefined, 2));
  for (const verdict of verdicts) console.log(verdictLine(verdict));
  saveJson(flags.text('json'), { benchmark: 'resync', machine, options: flags.all, results, verdicts });
});
