/** Addresses of version 4 that a network configuration gives a system for good. */

export interface StaticAddress {
  readonly ip: string;
  readonly prefix: number;
}

const IP = '(\\d{1,3}\\.\\d{1,3}\\.\\d{1,3}\\.\\d{1,3})';
/** ifupdown, networkd, NetworkManager and netplan, in this order. */
const WITH_PREFIX = [
  new RegExp(`^\\s*address\\s+${IP}/(\\d{1,2})\\s*$`, 'gm'),
  new RegExp(`^\\s*Address\\s*=\\s*${IP}/(\\d{1,2})\\s*$`, 'gm'),
  new RegExp(`^\\s*address\\d*\\s*=\\s*${IP}/(\\d{1,2})(?:,.*)?$`, 'gm'),
];
const NETPLAN = new RegExp(`${IP}/(\\d{1,2})`, 'g');
const OLD = new RegExp(`^\\s*address\\s+${IP}\\s*$(?:\\n\\s+.*$)*?\\n\\s*netmask\\s+(\\S+)`, 'gm');

/** Each once. Those of the machine itself are not meant. */
export function staticAddresses(text: string, isNetplan: boolean): readonly StaticAddress[] {
  const found: StaticAddress[] = [];
  const add = (ip: string, prefix: number) => {
    const isAddress = ip.split('.').every((part) => Number(part) < 256) && prefix <= 32;
    if (isAddress && !ip.startsWith('127.') && !found.some((one) => one.ip === ip)) found.push({ ip, prefix });
  };
  if (isNetplan) {
    // Routes have targets, and nameservers no prefix: what is left are addresses.
    for (const line of text.split('\n')) {
      if (/^\s*(?:#|-?\s*(?:to|via|from)\s*:)/.test(line)) continue;
      for (const match of line.matchAll(NETPLAN)) add(match[1] ?? '', Number(match[2]));
    }
    return found;
  }
  for (const pattern of WITH_PREFIX) for (const match of text.matchAll(pattern)) add(match[1] ?? '', Number(match[2]));
  for (const match of text.matchAll(OLD)) add(match[1] ?? '', prefixOf(match[2] ?? ''));
  return found;
}

/** `24` and `255.255.255.0` say the same. */
function prefixOf(mask: string): number {
  if (!mask.includes('.')) return Number(mask);
  const bits = mask.split('.').map((part) => Number(part).toString(2).padStart(8, '0'));
  return bits.join('').replace(/0+$/, '').length;
}
