/** /etc/network/interfaces: which network cards it configures. */

/** Names of cards, without bridges, bonds, VLANs and aliases over them. */
export function ifupdownNames(text: string): readonly string[] {
  const names = new Set<string>();
  const virtual = new Set<string>(['lo']);
  let current: string | undefined;
  for (const raw of text.replace(/\\\n/g, ' ').split('\n')) {
    const words = raw.trim().split(/\s+/);
    const [first = '', second = ''] = words;
    if (first === '' || first.startsWith('#')) continue;
    if (first === 'iface') {
      current = second.split(':')[0] ?? second;
      const vlan = /^(.+)\.\d+$/.exec(current);
      if (vlan?.[1] !== undefined) {
        virtual.add(current);
        names.add(vlan[1]);
      } else names.add(current);
    } else if (
      /^(?:auto|allow-\S+|source|source-directory|mapping|rename|no-auto-down|no-scripts|template)$/.test(first)
    ) {
      current = undefined;
    } else if (current !== undefined) {
      const option = first.replaceAll('-', '_');
      if (
        option === 'bridge_ports' ||
        option === 'bond_slaves' ||
        option === 'slaves' ||
        option === 'vlan_raw_device'
      ) {
        virtual.add(current);
        for (const name of words.slice(1)) {
          if (name !== 'none' && name !== 'regex' && name !== 'all' && /^[\w.:-]+$/.test(name)) names.add(name);
        }
      } else if (
        option === 'bond_mode' ||
        option === 'bridge_stp' ||
        (/^(?:pre_up|up)$/.test(option) && / type (?:dummy|veth|vxlan|tun|wireguard)\b/.test(raw))
      ) {
        virtual.add(current);
      }
    }
  }
  // A pattern names whatever is there.
  return [...names].filter((name) => !virtual.has(name) && !/[*?[\]/=]/.test(name));
}
