/** /etc/crypttab for other disks: containers by their UUID, and none that the target has not. */
import type { Rewritten, TargetCrypt } from '../target.ts';
import { rewriteEntries, turnedOff, withLine } from './lines.ts';

const ENTRY = /^(\s*)(\S+)(\s+)(\S+)([^\n]*\n?)$/;

export function rewriteCrypttab(text: string, crypts: readonly TargetCrypt[]): Rewritten {
  const notes: string[] = [];
  const seen = new Set<string>();
  let result = rewriteEntries(text, ENTRY, ([, space = '', name = '', gap = '', device = '', rest = ''], line) => {
    const crypt = crypts.find((one) => one.name === name);
    if (crypt === undefined) {
      // A file of the system itself is where it was.
      if (device.startsWith('/') && !device.startsWith('/dev/')) return line;
      notes.push(`${name}: ${device} is off, the target has no such container`);
      return turnedOff(line);
    }
    seen.add(name);
    const wanted = `UUID=${crypt.uuid}`;
    if (device.toLowerCase() === wanted.toLowerCase()) return line;
    notes.push(`${name}: ${wanted} in place of ${device}`);
    return `${space}${name}${gap}${wanted}${rest}`;
  });
  for (const { name, uuid } of crypts) {
    if (seen.has(name)) continue;
    notes.push(`${name}: a line more, UUID=${uuid}`);
    result = withLine(result, `${name} UUID=${uuid} none luks,discard`);
  }
  return { text: result, notes };
}
