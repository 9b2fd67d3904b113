/** The first entry of a menu of GRUB (grub.cfg) that starts a Linux: what it starts, and with which words. */
export interface MenuEntry {
  /** Paths as GRUB has them: from the file system that holds them. */
  readonly kernel: string;
  /** None where the kernel does without. */
  readonly initramfs: readonly string[];
  readonly words: readonly string[];
}

/** Undefined where no entry starts a Linux. Variables of the menu itself are left out: only GRUB knows them. */
export function firstEntry(menu: string): MenuEntry | undefined {
  const [, entry] = /^\s*menuentry [^\n]*\{\n(.*?)^\s*\}/ms.exec(menu) ?? [];
  if (entry === undefined) return undefined;
  const [kernel, ...words] = wordsOf(entry, 'linux(?:16|efi)?');
  if (kernel === undefined) return undefined;
  return {
    kernel,
    initramfs: wordsOf(entry, 'initrd(?:16|efi)?'),
    words: words.filter((word) => !word.startsWith('$')),
  };
}

function wordsOf(entry: string, command: string): readonly string[] {
  const [, rest = ''] = new RegExp(`^\\s*${command}\\s+(.*)$`, 'm').exec(entry) ?? [];
  return rest.split(/\s+/).filter((word) => word !== '');
}
