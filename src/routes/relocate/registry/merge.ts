/** `godwit relocate registry merge`: files in, one file out. What is merged and why: adapters/windows-registry/DESIGN.md. */
import { existsSync } from 'node:fs';
import { mergeSystem, openHive, readHive, sameTree, writeHive } from '../../../adapters/windows-registry/index.ts';
import { GodwitError, invariant } from '../../../kernel/errors.ts';
import type { RegistryMergeOptions, RegistryMergeResult } from './api.ts';
import { driverFiles } from './driver-files.ts';
import { readHiveFiles, refuseToOverwrite, replaceFile, versionBeside } from './hive-files.ts';

/** Nothing is written before the result was read back and found to be what was merged. */
export async function mergeRegistry(options: RegistryMergeOptions): Promise<RegistryMergeResult> {
  if (!options.isDryRun) refuseToOverwrite(options.out, options.isForced);
  if (!existsSync(options.drivers)) throw new GodwitError('GW1001', `--drivers: ${options.drivers} does not exist`);
  const source = await side(options.source);
  const target = await side(options.target);
  const { hive, report } = mergeSystem(
    { hive: source.hive, version: source.about.windows },
    { hive: target.hive, version: target.about.windows },
    { fileExists: driverFiles(options.drivers), isSameWindows: options.isSameWindows },
  );
  if (report.bootDrivers.length === 0) {
    const missing = report.skipped.filter(({ why }) => why === 'file-missing').map(({ what }) => what);
    throw new GodwitError('GW2305', `None of the target's boot-start drivers is in ${options.drivers}`, {
      details: { missing },
    });
  }
  const bytes = writeHive(hive);
  const difference = sameTree(hive.root, readHive(bytes).root);
  invariant(difference === undefined, `The merged hive reads back otherwise at ${difference}`);
  if (!options.isDryRun) await replaceFile(options.out, bytes);
  return {
    version: 1,
    command: 'registry merge',
    dryRun: options.isDryRun,
    out: options.out,
    bytes: bytes.length,
    source: source.about,
    target: target.about,
    report,
  };
}

async function side(file: string) {
  const { primary, logs } = await readHiveFiles(file);
  const { hive, replayed } = openHive(primary, logs);
  return { hive, about: { file, replayed, windows: await versionBeside(file) } };
}
