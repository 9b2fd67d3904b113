/** `npm run bench:nbd`: our block server beside qemu-nbd and nbdkit, in one run (bench/README.md). */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describeHost, hostLine } from './lib/machine.ts';
import { Flags, runMain, saveJson } from './lib/main.ts';
import { cell, note, table, type Verdict, verdictLine } from './lib/print.ts';
import { median } from './lib/statistics.ts';
import { CONTENDERS, type Contender, startContender } from './nbd/contenders.ts';
import { type FioResult, runFio } from './nbd/fio.ts';

const DEPTHS = [1, 16, 64] as const;
/** Reads have no durability to choose. */
const KINDS = [
  { short: 'write', name: 'write, page cache', rw: 'randwrite', durable: false },
  { short: 'read', name: 'read, page cache', rw: 'randread', durable: false },
  { short: 'durable', name: 'write, fdatasync each', rw: 'randwrite', durable: true },
] as const;

interface Cell {
  readonly kind: string;
  readonly depth: number;
  readonly contender: Contender;
  readonly runs: FioResult[];
}

await runMain(async () => {
  const flags = new Flags({
    seconds: { type: 'string' },
    repeat: { type: 'string' },
    'size-mib': { type: 'string' },
    only: { type: 'string' },
    kinds: { type: 'string' },
    depths: { type: 'string' },
    dir: { type: 'string' },
    json: { type: 'string' },
  });
  const seconds = flags.number('seconds', 3);
  const repeat = flags.number('repeat', 3);
  const sizeMiB = flags.number('size-mib', 256);
  const contenders = (flags.list('only') ?? CONTENDERS) as readonly Contender[];
  const kinds = KINDS.filter(({ short }) => flags.list('kinds')?.includes(short) ?? true);
  const depths = flags.list('depths')?.map(Number) ?? DEPTHS;
  const host = await describeHost();
  const dir = mkdtempSync(join(flags.text('dir') ?? tmpdir(), 'godwit-bench-nbd-'));
  process.on('exit', () => rmSync(dir, { recursive: true, force: true }));
  const cells: Cell[] = [];
  for (let round = 0; round < repeat; round++) {
    for (const { name, rw, durable } of kinds) {
      for (const depth of depths) {
        // The contenders of one figure run right behind each other, and each round another one is first.
        for (let i = 0; i < contenders.length; i++) {
          const contender = contenders[(i + round) % contenders.length]!;
          const image = join(dir, 'image');
          // On the disk before the first flush, which would have to wait for all of it.
          writeFileSync(image, Buffer.alloc(sizeMiB << 20, 1), { flush: true });
          await using server = await startContender(contender, image, dir);
          const result = await runFio({ socket: server.socket, rw, depth, durable, seconds, sizeMiB });
          note(
            `${name}, QD ${depth}, ${contender}: ${result.iops.toFixed(0)} a second, p99 ${result.p99Ms.toFixed(2)} ms`,
          );
          const had = cells.find((each) => each.kind === name && each.depth === depth && each.contender === contender);
          if (had === undefined) cells.push({ kind: name, depth, contender, runs: [result] });
          else had.runs.push(result);
        }
      }
    }
  }
  const value = (kind: string, depth: number, contender: Contender, of: keyof FioResult): number =>
    median(
      cells
        .find((each) => each.kind === kind && each.depth === depth && each.contender === contender)
        ?.runs.map((run) => run[of]) ?? [],
    );
  const rows: string[][] = [];
  const verdicts: Verdict[] = [];
  for (const { name } of kinds) {
    for (const depth of depths) {
      const iops = (contender: Contender) => value(name, depth, contender, 'iops');
      const toQemu = iops('godwit') / iops('qemu-nbd');
      const toNbdkit = iops('godwit') / iops('nbdkit');
      const p99 = CONTENDERS.map((contender) => cell(value(name, depth, contender, 'p99Ms'), 2)).join(' / ');
      rows.push([
        `${name}, QD ${depth}`,
        ...CONTENDERS.map((each) => cell(iops(each), 0)),
        cell(toQemu, 2),
        cell(toNbdkit, 2),
        p99,
      ]);
      verdicts.push(
        { what: `${name}, QD ${depth} ÷ qemu-nbd`, value: toQemu, atLeast: 1 },
        { what: `${name}, QD ${depth} ÷ nbdkit`, value: toNbdkit, atLeast: 0.6 },
      );
    }
  }
  console.log(
    `\n4 KiB at random places of ${sizeMiB} MiB, fio by a Unix socket, ${repeat} × ${seconds} s, medians, requests a second`,
  );
  console.log(`${hostLine(host)}\n`);
  console.log(table(['', ...CONTENDERS, '÷ qemu-nbd', '÷ nbdkit', 'p99 ms of each'], rows));
  console.log('');
  for (const verdict of verdicts) console.log(verdictLine(verdict));
  saveJson(flags.text('json'), { benchmark: 'nbd', machine: host, options: flags.all, cells, verdicts });
});
