/** `npm run bench:protect`: a protected volume beside the same server without it, and a promotion with a large backlog (bench/README.md). */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describeHost, hostLine } from './lib/machine.ts';
import { Flags, runMain, saveJson } from './lib/main.ts';
import { note, type Verdict, verdictLine } from './lib/print.ts';
import { type BacklogResult, measureBacklog } from './protect/backlog.ts';
import { type ExecutionResult, measureExecution } from './protect/execution.ts';
import { measureFar, measurePlain } from './protect/far.ts';

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
    const plain = await measurePlain(dir, 64, seconds);
    const near = await measureFar({ dir, policy: 'barrier', roundTripMs: 0, depth: 64, seconds, ringMiB });
    const barrier = await measureFar({ dir, policy: 'barrier', roundTripMs, depth: 64, seconds, ringMiB });
    const zero = await measureFar({ dir, policy: 'zero', roundTripMs, depth: 1, seconds, ringMiB });
    const zeroDeep = await measureFar({ dir, policy: 'zero', roundTripMs, depth: 64, seconds, ringMiB });
    Object.assign(results, { plain, near, barrier, zero, zeroDeep });
    verdicts.push(
      {
        what: `barrier at ${roundTripMs} ms, QD 64 ÷ the same roles side by side`,
        value: barrier.iops / near.iops,
        atLeast: 0.9,
      },
      {
        what: `barrier at ${roundTripMs} ms, QD 64 ÷ the same server over a file`,
        value: barrier.iops / plain.iops,
        atLeast: 0.9,
      },
      { what: 'zero, QD 1: latency p50 ÷ round trip', value: zero.p50Ms / roundTripMs, atMost: 1.1 },
      { what: 'synchronous lane to the DR, QD 64, percent of data', value: 100 * barrier.sentShare, atMost: 2 },
      { what: 'synchronous lane, both ways', value: 100 * (barrier.sentShare + barrier.receivedShare), atMost: 2 },
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
    const median = (results: readonly ExecutionResult[]) =>
      results.map(({ operationsPerSecond }) => operationsPerSecond).sort((a, b) => a - b)[
        Math.floor(results.length / 2)
      ] as number;
    results['execution'] = { without, withLog };
    note(
      `executed without an undo log: ${median(without).toFixed(0)} operations/s, with one ${median(withLog).toFixed(0)}`,
    );
    verdicts.push({
      what: `execution with an undo log ÷ without, ${blockKiB} KiB at random, median of ${rounds}`,
      value: median(withLog) / median(without),
      atLeast: 0.25,
    });
  }
  console.log(`\n${hostLine(host)}\n`);
  for (const verdict of verdicts) console.log(verdictLine(verdict));
  saveJson(flags.text('json'), { benchmark: 'protect', machine: host, options: flags.all, results, verdicts });
});
