/** `npm run bench:protect`: a protected volume beside the same server without it, and a promotion with a large backlog (bench/README.md). */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Policy } from '../src/routes/protect/api.ts';
import { describeHost, hostLine } from './lib/machine.ts';
import { Flags, runMain, saveJson } from './lib/main.ts';
import { note, type Verdict, verdictLine } from './lib/print.ts';
import { median } from './lib/statistics.ts';
import type { FioResult } from './nbd/fio.ts';
import { type BacklogResult, measureBacklog } from './protect/backlog.ts';
import { type ExecutionResult, measureExecution } from './protect/execution.ts';
import { type FarResult, measureFar, measurePlain } from './protect/far.ts';
import { measureLine } from './protect/line.ts';

await runMain(async () => {
  const flags = new Flags({
    only: { type: 'string' },
    seconds: { type: 'string' },
    'round-trip': { type: 'string' },
    'ring-mib': { type: 'string' },
    'backlog-mib': { type: 'string' },
    'block-kib': { type: 'string' },
    operations: { type: 'string' },
    rounds: { type: 'string' },
    repeat: { type: 'string' },
    dir: { type: 'string' },
    json: { type: 'string' },
  });
  const parts = flags.list('only') ?? ['far', 'backlog'];
  const seconds = flags.number('seconds', 5);
  const roundTripMs = flags.number('round-trip', 50);
  const host = await describeHost();
  const dir = mkdtempSync(join(flags.text('dir') ?? tmpdir(), 'godwit-bench-protect-'));
  process.on('exit', () => rmSync(dir, { recursive: true, force: true }));
  const verdicts: Verdict[] = [];
  const results: Record<string, unknown> = {};
  if (parts.includes('far')) {
    const ringMiB = flags.number('ring-mib', 256);
    const line = await measureLine(roundTripMs);
    const far: Record<'near' | 'barrier' | 'zero' | 'zeroDeep', FarResult[]> = {
      near: [],
      barrier: [],
      zero: [],
      zeroDeep: [],
    };
    const plain: FioResult[] = [];
    // In turns, as other things happen on a machine.
    for (let round = 0; round < flags.number('repeat', 3); round += 1) {
      plain.push(await measurePlain(dir, 64, seconds));
      const measure = (policy: Policy, depth: number, ms: number) =>
        measureFar({ dir, policy, roundTripMs: ms, depth, seconds, ringMiB });
      far.near.push(await measure('barrier', 64, 0));
      far.barrier.push(await measure('barrier', 64, roundTripMs));
      far.zero.push(await measure('zero', 1, roundTripMs));
      far.zeroDeep.push(await measure('zero', 64, roundTripMs));
    }
    Object.assign(results, { plain, line, ...far });
    const middle = (of: keyof typeof far, what: keyof FarResult) => median(far[of].map((each) => each[what]));
    const barrier = middle('barrier', 'iops');
    const zero = middle('zero', 'p50Ms');
    const [sent, received] = [middle('barrier', 'sentShare'), middle('barrier', 'receivedShare')];
    verdicts.push(
      {
        what: `barrier at ${roundTripMs} ms, QD 64 ÷ the same roles side by side`,
        value: barrier / middle('near', 'iops'),
        atLeast: 0.9,
      },
      {
        what: `barrier at ${roundTripMs} ms, QD 64 ÷ the same server over a file`,
        value: barrier / median(plain.map(({ iops }) => iops)),
        atLeast: 0.9,
      },
      { what: `zero, QD 1: latency p50 ÷ ${roundTripMs} ms`, value: zero / roundTripMs, atMost: 1.1 },
      { what: 'zero, QD 1: latency p50 ÷ the round trip of the line as measured', value: zero / line, atMost: 1.1 },
      { what: 'synchronous lane to the DR, QD 64, percent of data', value: 100 * sent, atMost: 2 },
      { what: 'synchronous lane, both ways', value: 100 * (sent + received), atMost: 2 },
    );
  }
  if (parts.includes('sharing')) {
    const ringMiB = flags.number('ring-mib', 256);
    // In turns, as other things happen on a machine.
    for (const depth of [1, 16, 64]) {
      for (const sharing of ['lane', 'nbd', 'lane', 'nbd'] as const) {
        const far = await measureFar({ dir, policy: 'zero', roundTripMs: 0, depth, seconds, ringMiB, sharing });
        const name = `${sharing} ${depth}`;
        results[name] = [...((results[name] as unknown[]) ?? []), far];
      }
    }
  }
  if (parts.includes('backlog')) {
    const backlog: BacklogResult = await measureBacklog({
      dir,
      backlogMiB: flags.number('backlog-mib', 1024),
      blockKiB: flags.number('block-kib', 4),
      roundTripMs,
    });
    results['backlog'] = backlog;
    note(`everything was executed after ${backlog.broughtUpSeconds.toFixed(1)} s`);
    const what = `${(backlog.bytes / 2 ** 20).toFixed(0)} MiB, ${backlog.operations} operations behind`;
    verdicts.push(
      { what: `${what}: mounted, seconds`, value: backlog.mountedSeconds, atMost: 5 },
      { what: `${what}: first MiB of a file read, seconds`, value: backlog.readSeconds, atMost: 5 },
      {
        what: 'content as it was, file system clean',
        value: backlog.contentIsSame && backlog.fsckClean ? 1 : 0,
        atLeast: 1,
      },
    );
  }
  if (parts.includes('execution')) {
    const rounds = flags.number('rounds', 5);
    const operations = flags.number('operations', 20_000);
    const blockKiB = flags.number('block-kib', 4);
    const [without, withLog]: [ExecutionResult[], ExecutionResult[]] = [[], []];
    for (let round = 0; round < rounds; round += 1) {
      without.push(await measureExecution({ dir, operations, blockKiB, rewindMiB: undefined }));
      withLog.push(await measureExecution({ dir, operations, blockKiB, rewindMiB: 256 }));
    }
    const middle = (results: readonly ExecutionResult[]) =>
      median(results.map(({ operationsPerSecond }) => operationsPerSecond));
    results['execution'] = { without, withLog };
    note(
      `executed without an undo log: ${middle(without).toFixed(0)} operations/s, with one ${middle(withLog).toFixed(0)}`,
    );
    verdicts.push({
      what: `execution with an undo log ÷ without, ${blockKiB} KiB at random, median of ${rounds}`,
      value: middle(withLog) / middle(without),
      atLeast: 0.25,
    });
  }
  console.log(`\n${hostLine(host)}\n`);
  for (const verdict of verdicts) console.log(verdictLine(verdict));
  saveJson(flags.text('json'), { benchmark: 'protect', machine: host, options: flags.all, results, verdicts });
});
