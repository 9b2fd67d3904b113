/**
 * `npm run bench:relocate`: the first copy beside `rsync -aHAX`, many small files and large ones; a large file of which
 * a few pages change; what capture costs fio and pgbench; the memory for a directory of a million files
 * (bench/README.md).
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { oneMillion } from '../test/files/one-million.ts';
import { needPrograms } from '../test/files/packages.ts';
import { describeHost, hostLine } from './lib/machine.ts';
import { Flags, runMain, saveJson } from './lib/main.ts';
import { cell, note, table, type Verdict, verdictLine } from './lib/print.ts';
import { median } from './lib/statistics.ts';
import { captureOverhead } from './relocate/capture.ts';
import { COPIERS, firstCopies, largeFiles, smallFiles } from './relocate/first-copy.ts';
import { changedPages } from './relocate/pages.ts';

const PARTS = ['small', 'large', 'pages', 'capture', 'million'] as const;

await runMain(async () => {
  const flags = new Flags({
    only: { type: 'string' },
    files: { type: 'string' },
    large: { type: 'string' },
    pages: { type: 'string' },
    repeat: { type: 'string' },
    seconds: { type: 'string' },
    turns: { type: 'string' },
    million: { type: 'boolean' },
    json: { type: 'string' },
  });
  const asked = flags.list('only') ?? PARTS.filter((part) => part !== 'million' || flags.isOn('million'));
  const unknown = asked.filter((part) => !(PARTS as readonly string[]).includes(part));
  if (unknown.length > 0) throw new Error(`--only knows ${PARTS.join(', ')}, not ${unknown.join(', ')}`);
  await needPrograms('rsync', 'python3');
  console.log(hostLine(await describeHost()));
  const repeat = flags.number('repeat', 3);
  const verdicts: Verdict[] = [];
  const results: Record<string, unknown> = {};

  const dir = mkdtempSync(join(tmpdir(), 'godwit-bench-files-'));
  process.on('exit', () => rmSync(dir, { recursive: true, force: true }));
  const sources = {
    small: (to: string) => smallFiles(to, flags.number('files', 100_000)),
    large: (to: string) => largeFiles(to, flags.number('large', 2_000)),
  };
  const rows: string[][] = [];
  for (const [name, make] of Object.entries(sources)) {
    if (!asked.includes(name)) continue;
    note(`making ${name} files`);
    const source = join(dir, name);
    await make(source);
    // rsync compares times by seconds, and leaves those of directories as they are when it makes them in the same one.
    await sleep(2_000);
    const taken = await firstCopies(dir, source, repeat);
    for (const who of COPIERS) {
      const middle = (of: 'seconds' | 'cpuSeconds') => median(taken[who].map((each) => each[of]));
      rows.push([`${name}, ${who}`, cell(middle('seconds'), 2), cell(middle('cpuSeconds'), 2)]);
    }
    const [theirs, ours] = COPIERS.map((who) => median(taken[who].map(({ seconds }) => seconds)));
    const value = (theirs ?? Number.NaN) / (ours ?? Number.NaN);
    verdicts.push({ what: `${name} files: speed beside rsync -aHAX`, value, atLeast: 1 });
    results[name] = taken;
    rmSync(source, { recursive: true });
  }
  if (rows.length > 0) console.log(table(['first copy', 'seconds', 'CPU s'], rows));

  if (asked.includes('pages')) {
    const found = await changedPages(1024, flags.number('pages', 1_000));
    results['pages'] = found;
    const headings = ['1 GiB, changed', 'MiB sent', '÷ changed', 'MiB answered', 'MiB read by both', 'seconds'];
    const line = (each: (typeof found)[number]) => [
      `${cell(each.changedMiB, 1)} MiB in pages of ${each.pageKiB} KiB`,
      ...[each.sentMiB, each.sentMiB / each.changedMiB, each.answeredMiB, each.readMiB, each.seconds].map((value) =>
        cell(value, 2),
      ),
    ];
    console.log(table(headings, found.map(line)));
    for (const { pageKiB, changedMiB, sentMiB } of found)
      verdicts.push({
        what: `pages of ${pageKiB} KiB: sent ÷ changed`,
        value: sentMiB / changedMiB,
        atMost: 2,
      });
  }
  if (asked.includes('capture')) {
    const found = await captureOverhead({
      turns: flags.number('turns', 15),
      seconds: flags.number('seconds', 2.5),
      tps: true,
    });
    results['capture'] = found;
    const line = ({ what, without, captured, percent, quartiles, told }: (typeof found)[number]) => [
      what,
      cell(without, 0),
      cell(captured, 0),
      cell(percent, 1),
      quartiles.map((value) => cell(value, 1)).join(' to '),
      told,
    ];
    const headings = ['capture', 'without, 1/s', 'captured, 1/s', 'overhead %', 'quartiles', 'told in a second'];
    console.log(table(headings, found.map(line)));
    for (const { what, percent } of found)
      verdicts.push({
        what: `capture, ${what}: overhead`,
        value: percent,
        atMost: 5,
        unit: '%',
      });
  }
  if (asked.includes('million')) {
    const { agentMiB, receiveMiB, outcome } = await oneMillion(1_000_000);
    results['million'] = { agentMiB, receiveMiB, outcome };
    note(`a million files: ${outcome}, agent ${cell(agentMiB)} MiB, receive ${cell(receiveMiB)} MiB`);
    verdicts.push({
      what: 'a million files in one directory: most memory of either side',
      value: Math.max(agentMiB, receiveMiB),
      atMost: 200,
      unit: 'MiB',
    });
  }
  for (const verdict of verdicts) console.log(verdictLine(verdict));
  saveJson(flags.text('json'), { flags: flags.all, results, verdicts });
});
