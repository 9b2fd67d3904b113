/** What a stress run comes to. */
import { percentile } from '../../bench/lib/statistics.ts';
import type { Cpu } from './cpu.ts';
import type { FaultClass } from './faults.ts';
import type { Engine, StressResult } from './stress.ts';

interface Times {
  readonly count: number;
  readonly p50Seconds: number;
  readonly p99Seconds: number;
  readonly mostSeconds: number;
}

export interface Summary {
  readonly ok: boolean;
  /** Acknowledged writes a second: wanted, while something was compared, from the first comparison to the last, and while the worst one ran. */
  readonly rate: {
    readonly wanted: number;
    readonly whileComparing: number;
    readonly whole: number;
    readonly least: number;
  };
  readonly writes: number;
  readonly transactions: number;
  readonly rawWrites: number;
  readonly verifies: Readonly<Partial<Record<Engine, Times>>>;
  /** Identities of one comparison, and how many of them were on their way, on average. */
  readonly identities: number;
  readonly pending: number;
  readonly falseAlarms: readonly string[];
  readonly faults: Readonly<Record<FaultClass, { readonly injected: number; readonly found: number }>>;
  readonly missed: readonly string[];
  readonly wrong: readonly string[];
  /** Of one write of several in a transaction, and of a whole transaction. */
  /** Share of one processor that each took, from the first comparison to the last; all on the machine, others included. */
  readonly cpu: Cpu;
  readonly latencyMs: {
    readonly writeP50: number;
    readonly writeP99: number;
    readonly transactionP50: number;
    readonly transactionP99: number;
  };
}

/** A comparison that leaves out more than this has proven little. */
const MOST_PENDING = 0.5;

export function summaryOf(result: StressResult, wanted: number): Summary {
  const { looks, span, falseAlarms, missed, injected, found, raw, load } = result;
  const wrong = [...result.wrong];
  const sum = (of: (look: (typeof looks)[number]) => number) => looks.reduce((total, look) => total + of(look), 0);
  const rate = {
    wanted,
    whileComparing: sum(({ writes }) => writes) / sum(({ seconds }) => seconds),
    whole: span.writes / span.seconds,
    least: Math.min(...looks.map(({ writes, seconds }) => writes / seconds)),
  };
  if (Math.min(rate.whileComparing, rate.whole) < wanted)
    wrong.push(`the application did not reach ${wanted} writes/s`);
  for (const { identities, pending } of looks)
    if (pending > MOST_PENDING * identities)
      wrong.push(`${pending} of ${identities} were on their way: little was compared`);
  // Otherwise it was not under fire: no snapshot cut through a change.
  if (sum(({ pending }) => pending) === 0) wrong.push('nothing was ever on its way');
  const engines = [...new Set(looks.map(({ engine }) => engine))];
  const classes = Object.keys(injected) as FaultClass[];
  return {
    ok: falseAlarms.length + missed.length + wrong.length === 0,
    rate,
    writes: span.writes,
    transactions: span.transactions,
    rawWrites: raw,
    verifies: Object.fromEntries(
      engines.map((engine) => [
        engine,
        timesOf(looks.filter((look) => look.engine === engine).map(({ seconds }) => seconds)),
      ]),
    ),
    identities: sum(({ identities }) => identities) / looks.length,
    pending: sum(({ pending }) => pending) / looks.length,
    falseAlarms,
    faults: Object.fromEntries(
      classes.map((name) => [name, { injected: injected[name], found: found[name] }]),
    ) as Summary['faults'],
    missed,
    wrong,
    cpu: Object.fromEntries(
      Object.entries(span.cpu).map(([who, used]) => [who, used / span.seconds]),
    ) as unknown as Cpu,
    latencyMs: {
      writeP50: load.writeMs.p50Ms,
      writeP99: load.writeMs.p99Ms,
      transactionP50: percentile(load.transactionMs, 0.5),
      transactionP99: percentile(load.transactionMs, 0.99),
    },
  };
}

function timesOf(seconds: readonly number[]): Times {
  return {
    count: seconds.length,
    p50Seconds: percentile(seconds, 0.5),
    p99Seconds: percentile(seconds, 0.99),
    mostSeconds: Math.max(...seconds),
  };
}

export function textOf(summary: Summary): string {
  const { rate, verifies, faults, falseAlarms, missed, wrong, latencyMs } = summary;
  const whole = Math.round;
  const all = Object.values(faults);
  const total = (of: (each: (typeof all)[number]) => number) => all.reduce((sum, each) => sum + of(each), 0);
  return [
    `writes/s: ${whole(rate.whileComparing)} while comparing, ${whole(rate.whole)} over all, ${whole(rate.least)} in the worst comparison; wanted ${rate.wanted}`,
    `${summary.writes} writes in ${summary.transactions} transactions acknowledged, ${summary.rawWrites} past the library`,
    `a write p50 ${latencyMs.writeP50.toFixed(2)} ms, p99 ${latencyMs.writeP99.toFixed(2)} ms; a transaction p50 ${latencyMs.transactionP50.toFixed(1)} ms, p99 ${latencyMs.transactionP99.toFixed(1)} ms`,
    `processors: ${Object.entries(summary.cpu)
      .map(([who, share]) => `${who} ${share.toFixed(2)}`)
      .join(', ')}`,
    ...Object.entries(verifies).map(
      ([engine, { count, p50Seconds, p99Seconds, mostSeconds }]) =>
        `${count} verifies by ${engine}: p50 ${p50Seconds.toFixed(2)} s, p99 ${p99Seconds.toFixed(2)} s, most ${mostSeconds.toFixed(2)} s`,
    ),
    `${whole(summary.identities)} identities each, ${whole(summary.pending)} of them on their way`,
    `faults: ${total(({ found }) => found)} of ${total(({ injected }) => injected)} found (${Object.entries(faults)
      .map(([name, { injected, found }]) => `${name} ${found}/${injected}`)
      .join(', ')})`,
    `false alarms: ${falseAlarms.length}`,
    ...[...falseAlarms, ...missed, ...wrong].slice(0, 40).map((line) => `✗ ${line}`),
    summary.ok ? 'WELL' : 'WRONG',
  ].join('\n');
}
