/** How fast `migrate verify` compares both sides, and in how much memory. */
import { loadDataset } from '../dataset.ts';
import { assertCopied, Side } from '../lib/clusters.ts';
import { GodwitProcess } from '../lib/godwit.ts';
import { cell, table, type Verdict } from '../lib/print.ts';
import { addressArgs, NAME, type PartOptions, runArgs } from './tools.ts';

interface Verified {
  readonly seconds: number;
  readonly mbPerSecond: number;
  readonly cpuSeconds: number | undefined;
  readonly peakRssMiB: number | undefined;
}

export async function benchVerify(options: PartOptions): Promise<{ verified: Verified; verdicts: Verdict[] }> {
  const { documents, bytes, workDir } = options;
  await using source = await Side.start('source');
  await loadDataset(source.cluster, NAME.db, NAME.collection, { documents, bytes, id: 'string' });
  await using target = await Side.start('target');
  await new GodwitProcess(['run', ...runArgs(source, target, workDir, 'verify'), '--until', 'copied']).end();
  await assertCopied(target, NAME, documents);

  const size = Number((await source.cluster.command(NAME.db, { collStats: NAME.collection }))['size']);
  const child = new GodwitProcess(['verify', ...runArgs(source, target, workDir, 'verify')]);
  const exit = await child.end();
  const proved = new GodwitProcess(['status', ...addressArgs(workDir, 'verify')]);
  await proved.end();
  const verify = proved.answer?.['verify'] as { state?: string; docs?: number } | undefined;
  if (verify?.state !== 'equal' || verify.docs !== documents)
    throw new Error(`nothing was proved: ${JSON.stringify(proved.answer)}`);

  const verified = { ...exit, mbPerSecond: size / 1e6 / exit.seconds };
  console.log(`\nVerification of ${documents} documents (${cell(size / 1e6, 0)} MB a side), the whole process\n`);
  const row = [cell(exit.seconds, 2), cell(verified.mbPerSecond), cell(exit.cpuSeconds), cell(exit.peakRssMiB, 0)];
  console.log(table(['command', 'seconds', 'MB/s a side', 'CPU s', 'RSS MiB'], [['migrate verify', ...row]]));
  return {
    verified,
    verdicts: [
      { what: 'verification', value: verified.mbPerSecond, atLeast: 100, unit: 'MB/s a side' },
      { what: 'verification, peak RSS', value: exit.peakRssMiB, atMost: 256, unit: 'MiB' },
    ],
  };
}
