/** What a merge of registries did, for people. Names in a hive can hold anything, and a terminal obeys some of it. */
import { printable } from '../../routes/migrate/report/format.ts';
import type { HiveSide, RegistryMergeResult } from '../../routes/relocate/registry/api.ts';
import type { Paint } from '../paint.ts';

const WHY = {
  'target-lacks-it': 'the target has none, so the source’s stays',
  'file-missing': 'not taken, its file is missing:',
  'filter-without-service': 'filter taken out, its service is missing or off:',
} as const;

export function registryMergeText(result: RegistryMergeResult, paint: Paint): readonly string[] {
  const { report } = result;
  const lines = [
    `Source ${sideText(result.source)}, ${report.source.controlSet}`,
    `Target ${sideText(result.target)}, ${report.target.controlSet}`,
    '',
    paint.bold('Taken from the target'),
    ...report.taken.map(({ path, keys, values, replaced }) => {
      const how = replaced ? 'in place of the source’s' : 'new';
      return `  ${printable(path)}  ${paint.dim(`${keys} keys, ${values} values, ${how}`)}`;
    }),
    '',
    paint.bold('Drivers that start with Windows'),
    ...report.bootDrivers.map(({ service, file, devices }) => {
      const first = printable(devices.slice(0, 3).join(', ')) || 'no device named';
      return `  ${printable(service)}  ${printable(file)}  ${paint.dim(devices.length > 3 ? `${first} and ${devices.length - 3} more` : first)}`;
    }),
  ];
  if (report.switchedOff.length > 0) lines.push('', paint.bold('Switched off'));
  for (const { path, hypervisor } of report.switchedOff)
    lines.push(`  ${printable(path)}  ${paint.dim(`tools of ${hypervisor}`)}`);
  if (report.skipped.length > 0) lines.push('', paint.bold('Not done'));
  for (const { path, why, what } of report.skipped) {
    lines.push(
      `  ${printable(path)}  ${paint.yellow(why === 'target-lacks-it' ? WHY[why] : `${WHY[why]} ${printable(what)}`)}`,
    );
  }
  lines.push(
    '',
    result.dryRun
      ? 'Nothing was written (--dry-run).'
      : `${result.out}: ${result.bytes} bytes, read back and compared.`,
  );
  return lines;
}

function sideText({ file, windows, replayed }: HiveSide): string {
  const name = windows
    ? `${windows.product ?? 'Windows'} ${windows.version}.${windows.build}`
    : 'Windows of unknown version';
  const logs = replayed.map(({ log, entries }) => `${entries} changes of ${log}`).join(', ');
  return `${file}: ${printable(name)}${logs === '' ? '' : `, completed by ${logs}`}`;
}
