/** The network cards that a moved system configures, and the files that make the target's cards stand for them. */
import { namesIn, readText } from './inside-root.ts';
import { ifupdownNames } from './text/ifupdown.ts';
import { linkFile, linkPath } from './text/link.ts';
import { netplanCards, rewriteNetplan } from './text/netplan.ts';
import {
  type CardName,
  type MacMap,
  networkdCards,
  networkdMade,
  networkManagerCards,
  plainMac,
  rewriteMatches,
} from './text/sections.ts';

interface NetworkFile {
  readonly path: string;
  readonly text: string;
}

function filesIn(root: string, folder: string, end: RegExp): readonly NetworkFile[] {
  return namesIn(root, folder)
    .filter((name) => end.test(name))
    .flatMap((name) => {
      const text = readText(root, `${folder}/${name}`);
      return text === undefined ? [] : [{ path: `${folder}/${name}`, text }];
    });
}

const NETWORKD = 'etc/systemd/network';
const NETPLAN = 'etc/netplan';
const NETWORK_MANAGER = 'etc/NetworkManager/system-connections';

/** Each card once, in the order of the configuration. */
export function configuredCards(root: string): readonly CardName[] {
  const made = filesIn(root, NETWORKD, /\.netdev$/).flatMap(({ text }) => networkdMade(text));
  const ifupdown = [
    { path: '', text: readText(root, 'etc/network/interfaces') ?? '' },
    ...filesIn(root, 'etc/network/interfaces.d', /^[\w.-]+$/),
  ];
  const cards: readonly CardName[] = [
    ...ifupdown.flatMap(({ text }) => ifupdownNames(text)).map((name) => ({ name })),
    ...filesIn(root, NETWORKD, /\.network$/).flatMap(({ text }) => networkdCards(text)),
    ...filesIn(root, NETPLAN, /\.ya?ml$/).flatMap(({ text }) => netplanCards(text)),
    ...filesIn(root, NETWORK_MANAGER, /./).flatMap(({ text }) => networkManagerCards(text)),
  ];
  const seen = new Map<string, CardName>();
  for (const card of cards) {
    if ('name' in card && made.includes(card.name)) continue;
    const key = cardText(card);
    if (!seen.has(key)) seen.set(key, card);
  }
  return [...seen.values()];
}

export function cardText(card: CardName): string {
  return 'name' in card ? card.name : card.mac;
}

export interface NetworkChange {
  readonly path: string;
  readonly text: string;
  readonly notes: readonly string[];
}

/** `pairs`: a card as the configuration knows it, and the address of the target's that stands for it. */
export function networkChanges(root: string, pairs: ReadonlyMap<string, string>): readonly NetworkChange[] {
  const changes: NetworkChange[] = [];
  const macs = new Map<string, string>();
  for (const [card, mac] of pairs) {
    const old = plainMac(card);
    if (old !== undefined) {
      if (old !== mac) macs.set(old, mac);
      continue;
    }
    const text = linkFile(card, mac);
    if (readText(root, linkPath(card)) !== text)
      changes.push({ path: linkPath(card), text, notes: [`${card} is the card ${mac}`] });
  }
  const add = (
    file: NetworkFile,
    rewrite: (text: string, macs: MacMap) => { text: string; notes: readonly string[] },
  ) => {
    const { text, notes } = rewrite(file.text, macs);
    if (text !== file.text) changes.push({ path: file.path, text, notes });
  };
  for (const file of filesIn(root, NETWORKD, /\.(?:network|link)$/)) {
    if (!file.path.includes('/00-godwit-')) add(file, rewriteMatches);
  }
  for (const file of filesIn(root, NETPLAN, /\.ya?ml$/)) add(file, rewriteNetplan);
  for (const file of filesIn(root, NETWORK_MANAGER, /./)) add(file, rewriteMatches);
  return changes;
}
