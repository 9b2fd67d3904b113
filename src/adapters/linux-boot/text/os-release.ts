/** Which distribution a root holds, by /etc/os-release. */

export interface Distribution {
  readonly id: string;
  /** As it calls itself. */
  readonly name: string;
  readonly isKnown: boolean;
}

/** Their initramfs-tools, GRUB and network configuration are what is adapted here. */
const KNOWN = ['debian', 'ubuntu'];

export function distributionOf(osRelease: string): Distribution {
  const values = new Map<string, string>();
  for (const line of osRelease.split('\n')) {
    const match = /^\s*(\w+)=(.*?)\s*$/.exec(line);
    if (match !== null) values.set(match[1] ?? '', (match[2] ?? '').replace(/^(["'])(.*)\1$/, '$2'));
  }
  const id = values.get('ID') ?? '';
  return {
    id,
    name: values.get('PRETTY_NAME') ?? values.get('NAME') ?? (id || 'unknown'),
    isKnown: KNOWN.includes(id),
  };
}
