/** `npm run bench:remodel`: what a remodel costs the application, how fast it backfills, how far the old table lags (bench/README.md). */
import { describeMachine, machineLine } from './lib/machine.ts';
import { Flags, runMain, saveJson } from './lib/main.ts';
import { note, type Verdict, verdictLine } from './lib/print.ts';
import { benchBackfill } from './remodel/backfill.ts';
import { benchDualWrite } from './remodel/dual-write.ts';
import { benchLag } from './remodel/lag.ts';

const PARTS = ['write', 'lag', 'backfill'] as const;

await runMain(async () => {
  const flags = new Flags({
    only: { type: 'string' },
    customers: { type: 'string' },
    rounds: { type: 'string' },
    clients: { type: 'string' },
    writes: { type: 'string' },
    rate: { type: 'string' },
    seconds: { type: 'string' },
    rows: { type: 'string' },
    json: { type: 'string' },
  });
  const only = flags.list('only') ?? PARTS;
  const unknown = only.filter((part) => !(PARTS as readonly string[]).includes(part));
  if (unknown.length > 0) throw new Error(`--only takes ${PARTS.join(', ')}`);
  const machine = await describeMachine();
  console.log(machineLine(machine));
  const customers = flags.number('customers', 50_000);
  const parts: Record<(typeof PARTS)[number], () => Promise<{ readonly verdicts: readonly Verdict[] }>> = {
    write: () =>
      benchDualWrite({
        customers,
        rounds: flags.number('rounds', 5),
        clients: flags.number('clients', 4),
        writes: flags.number('writes', 500),
      }),
    lag: () => benchLag({ customers, rate: flags.number('rate', 2000), seconds: flags.number('seconds', 20) }),
    backfill: () => benchBackfill({ rows: flags.number('rows', 1_000_000) }),
  };
  const verdicts: Verdict[] = [];
  for (const part of PARTS.filter((each) => only.includes(each))) {
    note(`--- ${part}`);
    verdicts.push(...(await parts[part]()).verdicts);
  }
  console.log('');
  for (const verdict of verdicts) console.log(verdictLine(verdict));
  saveJson(flags.text('json'), { machine, flags: flags.all, verdicts });
});
