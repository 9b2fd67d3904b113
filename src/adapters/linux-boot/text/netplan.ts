/** Files of netplan: which cards they configure, and the new address where a card is known by its old one. */
import { isMap, isScalar, parseDocument } from 'yaml';
import type { Rewritten } from '../target.ts';
import { type CardName, type MacMap, plainMac } from './sections.ts';

interface Match {
  readonly name?: unknown;
  readonly macaddress?: unknown;
  readonly driver?: unknown;
}

interface Ethernet {
  readonly match?: Match;
  readonly 'set-name'?: unknown;
}

export function netplanCards(text: string): readonly CardName[] {
  const all = (parseDocument(text).toJS() as { network?: { ethernets?: Record<string, Ethernet | null> } } | null)
    ?.network?.ethernets;
  return Object.entries(all ?? {}).flatMap(([id, card]): readonly CardName[] => {
    const match = card?.match;
    if (match === undefined || match === null) return [{ name: id }];
    const mac = typeof match.macaddress === 'string' ? plainMac(match.macaddress) : undefined;
    if (mac !== undefined) return [{ mac }];
    const name = match.name;
    return typeof name === 'string' && !/[*?[]/.test(name) ? [{ name }] : [];
  });
}

/** Only the addresses change; every other byte stays. */
export function rewriteNetplan(text: string, macs: MacMap): Rewritten {
  const ethernets = parseDocument(text).getIn(['network', 'ethernets']);
  const cuts: { readonly from: number; readonly to: number; readonly mac: string; readonly old: string }[] = [];
  if (isMap(ethernets)) {
    for (const { value } of ethernets.items) {
      const given = isMap(value) ? value.getIn(['match', 'macaddress'], true) : undefined;
      if (!isScalar(given) || typeof given.value !== 'string' || !given.range) continue;
      const mac = macs.get(plainMac(given.value) ?? '');
      if (mac !== undefined) cuts.push({ from: given.range[0], to: given.range[1], mac, old: given.value });
    }
  }
  let result = text;
  // An address unquoted could be read as a number in base sixty.
  for (const { from, to, mac } of cuts.toReversed()) result = `${result.slice(0, from)}"${mac}"${result.slice(to)}`;
  return { text: result, notes: cuts.map(({ mac, old }) => `${mac} in place of ${old}`) };
}
