/** What names disks in the settings of GRUB and of the initramfs. */
import type { Rewritten } from '../target.ts';
import { linesOf, turnedOff } from './lines.ts';

/** /etc/default/grub: `root=` is GRUB's own to say, `resume=` is the target's swap. */
export function rewriteGrubDefaults(text: string, swap: string | undefined): Rewritten {
  const notes: string[] = [];
  let result = '';
  for (const line of linesOf(text)) {
    // Cloud images find their root by the partition's id, without an initramfs.
    if (/^\s*GRUB_FORCE_PARTUUID=/.test(line)) {
      notes.push(`off: ${line.trim()}`);
      result += turnedOff(line);
      continue;
    }
    if (!/^\s*GRUB_CMDLINE_LINUX(?:_\w+)?=/.test(line)) {
      result += line;
      continue;
    }
    result += line.replace(
      /(^|[\s"'=])(root|resume|resume_offset)=([^\s"']*)( ?)/g,
      (whole: string, before: string, name: string, value: string, after: string) => {
        if (name === 'resume' && swap !== undefined) {
          if (value === `UUID=${swap}`) return whole;
          notes.push(`resume=UUID=${swap} in place of ${value}`);
          return `${before}resume=UUID=${swap}${after}`;
        }
        notes.push(`without ${name}=${value}`);
        return before;
      },
    );
  }
  return { text: result, notes };
}

/** /etc/initramfs-tools/conf.d/resume: an area that is not there is waited for at each boot. */
export function rewriteResume(text: string, swap: string | undefined): Rewritten {
  const wanted = swap === undefined ? 'none' : `UUID=${swap}`;
  const notes: string[] = [];
  const result = linesOf(text)
    .map((line) =>
      line.replace(/^(\s*RESUME=)([^\n]*)/, (whole: string, name: string, value: string) => {
        const plain = value.trim().replace(/^["']|["']$/g, '');
        if (plain === wanted || plain === 'none') return whole;
        notes.push(`${wanted} in place of ${plain}`);
        return `${name}${wanted}`;
      }),
    )
    .join('');
  return { text: result, notes };
}

const BEGIN = '# godwit relocate: drivers of this machine';
const END = '# godwit relocate: end';

/** /etc/initramfs-tools/modules with a block of ours, which is replaced and never doubled. */
export function withModules(text: string, modules: readonly string[]): Rewritten {
  const lines = linesOf(text).map((line) => line.replace(/\n$/, ''));
  const from = lines.indexOf(BEGIN);
  const to = lines.indexOf(END, from);
  const block = [BEGIN, ...modules, END];
  if (from >= 0 && to > from) {
    const before = lines.slice(from, to + 1);
    if (before.join('\n') === block.join('\n')) return { text, notes: [] };
    lines.splice(from, to - from + 1, ...block);
  } else lines.push(...block);
  return { text: `${lines.join('\n')}\n`, notes: [modules.join(' ')] };
}
