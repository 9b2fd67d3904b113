/** What an adaptation did, for people. */

import { printable } from '../../routes/migrate/report/format.ts';
import type { AdaptEvent, AdaptResult, LoadResult } from '../../routes/relocate/adapt/api.ts';
import type { Paint } from '../paint.ts';

export function adaptEventLine(event: AdaptEvent, paint: Paint): readonly string[] {
  if (event.kind === 'runs') return [`${paint.dim('runs')} ${printable(event.command)}`];
  return changeLines(event.path, event.notes, paint);
}

export function adaptText(result: AdaptResult, paint: Paint): readonly string[] {
  const lines: string[] = [];
  if (result.dryRun) {
    for (const { path, notes } of result.changes) lines.push(...changeLines(path, notes, paint));
    for (const { command } of result.commands) lines.push(`${paint.dim('would run')} ${printable(command)}`);
  }
  const { drivers, firmware, nics } = result.hardware;
  lines.push(
    '',
    `${printable(result.distribution)} for ${firmware === 'bios' ? 'BIOS' : 'UEFI'}, disks by ${printable(drivers.join(' ')) || 'nothing named'}, ${nics.length} network ${nics.length === 1 ? 'card' : 'cards'}`,
    ...result.kernels.map(
      ({ version, modules }) =>
        `Kernel ${printable(version)}: ${printable(modules.join(' ')) || 'all drivers built in'}`,
    ),
    `Kept: ${result.kept.map((path) => `/${printable(path)}`).join(', ') || 'nothing there to keep'}`,
  );
  for (const { message, remedy } of result.findings)
    lines.push(`${paint.yellow('!')} ${printable(message)}${remedy === undefined ? '' : ` (${printable(remedy)})`}`);
  if (result.dryRun) lines.push('Nothing was changed (--dry-run).');
  else if (result.changes.length === 0 && result.commands.length === 0) lines.push('Nothing to change: it is adapted.');
  else lines.push(`${result.changes.length} files changed; what they were is in ${printable(result.record)} (--undo).`);
  return lines;
}

export function loadText({ dryRun, kernel, initramfs, words }: LoadResult): readonly string[] {
  return [
    `Kernel: ${printable(kernel)}`,
    `Initramfs: ${initramfs === undefined ? 'none' : printable(initramfs)}`,
    `Words: ${printable(words)}`,
    dryRun ? 'Nothing was loaded (--dry-run).' : 'Loaded. `systemctl kexec` stops this system and starts it.',
  ];
}

function changeLines(path: string, notes: readonly string[], paint: Paint): readonly string[] {
  return [`/${printable(path)}`, ...notes.map((note) => `  ${paint.dim(printable(note))}`)];
}
