/** Files of systemd-networkd and NetworkManager: sections with `Key=value` lines. */
import type { Rewritten } from '../target.ts';
import { linesOf } from './lines.ts';

/** A card as a configuration knows it. */
export type CardName = { readonly name: string } | { readonly mac: string };

/** From an old address, in small letters, to the one of the card that stands for it. */
export type MacMap = ReadonlyMap<string, string>;

interface Setting {
  readonly section: string;
  readonly key: string;
  readonly value: string;
}

function settingOf(line: string, section: string): Setting | undefined {
  const match = /^\s*([\w.-]+)\s*=\s*(.*?)\s*$/.exec(line.replace(/\n$/, ''));
  return match === null ? undefined : { section, key: match[1] ?? '', value: match[2] ?? '' };
}

function* settings(text: string): Generator<{ readonly line: string; readonly setting: Setting | undefined }> {
  let section = '';
  for (const line of linesOf(text)) {
    const head = /^\s*\[([^\]]+)\]/.exec(line);
    if (head !== null) section = head[1] ?? '';
    yield { line, setting: head === null ? settingOf(line, section) : undefined };
  }
}

const MAC = /^[0-9a-f]{2}(?::[0-9a-f]{2}){5}$/;

/** As one writes addresses: small letters and colons. */
export function plainMac(given: string): string | undefined {
  const mac = given.trim().toLowerCase().replaceAll('-', ':');
  return MAC.test(mac) ? mac : undefined;
}

/** What a .network file of systemd-networkd matches. */
export function networkdCards(text: string): readonly CardName[] {
  const match = [...settings(text)].flatMap(({ setting }) => (setting?.section === 'Match' ? [setting] : []));
  const of = (key: string) =>
    match.filter((one) => one.key === key).flatMap(({ value }) => value.split(/\s+/).filter((word) => word !== ''));
  if (match.some(({ key, value }) => key === 'Kind' || (key === 'Type' && !/^(?:ether|!)/.test(value)))) return [];
  const macs = [...of('MACAddress'), ...of('PermanentMACAddress')].flatMap((given) => plainMac(given) ?? []);
  if (macs.length > 0) return macs.map((mac) => ({ mac }));
  return of('Name')
    .filter((name) => !/[*?[\]!]/.test(name) && name !== 'lo')
    .map((name) => ({ name }));
}

/** The devices that systemd-networkd makes itself. */
export function networkdMade(netdev: string): readonly string[] {
  return [...settings(netdev)].flatMap(({ setting }) =>
    setting?.section === 'NetDev' && setting.key === 'Name' ? [setting.value] : [],
  );
}

/** The cards of a connection of NetworkManager. */
export function networkManagerCards(text: string): readonly CardName[] {
  const all = [...settings(text)].flatMap(({ setting }) => setting ?? []);
  const of = (section: string, key: string) => all.find((one) => one.section === section && one.key === key)?.value;
  if (!['ethernet', '802-3-ethernet'].includes(of('connection', 'type') ?? '')) return [];
  const mac = plainMac(
    (of('ethernet', 'mac-address') ?? of('802-3-ethernet', 'mac-address') ?? '').replaceAll('\\', ''),
  );
  if (mac !== undefined) return [{ mac }];
  const name = of('connection', 'interface-name');
  return name === undefined || name === '' ? [] : [{ name }];
}

/** Where a card is known by its address, the new one; `Driver=` and `Path=` of the old card beside it go. */
export function rewriteMatches(text: string, macs: MacMap): Rewritten {
  const notes: string[] = [];
  const all = [...settings(text)];
  const isMatch = ({ section, key }: Setting) =>
    (section === 'Match' && (key === 'MACAddress' || key === 'PermanentMACAddress')) ||
    (/^(?:802-3-)?ethernet$/.test(section) && key === 'mac-address');
  const isOurs = all.some(
    ({ setting }) => setting && isMatch(setting) && wordsOf(setting.value).some((mac) => macs.has(mac)),
  );
  if (!isOurs) return { text, notes };
  let result = '';
  for (const { line, setting } of all) {
    if (setting !== undefined && isMatch(setting)) {
      result += line.replace(/=.*/, (given) =>
        given.replace(/[0-9a-fA-F]{2}(?:\\?[:-][0-9a-fA-F]{2}){5}/g, (mac) => {
          const wanted = macs.get(plainMac(mac.replaceAll('\\', '')) ?? '');
          if (wanted === undefined) return mac;
          notes.push(`${wanted} in place of ${mac}`);
          return wanted;
        }),
      );
    } else if (setting?.section === 'Match' && /^(?:Driver|Path|OriginalName|Property)$/.test(setting.key)) {
      notes.push(`without ${setting.key}=${setting.value}`);
    } else result += line;
  }
  return { text: result, notes };
}

function wordsOf(value: string): readonly string[] {
  return value
    .replaceAll('\\', '')
    .split(/\s+/)
    .flatMap((word) => plainMac(word) ?? []);
}
