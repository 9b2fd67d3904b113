/** Which network card of the target stands for which of the configuration. */
import { cardText, configuredCards, type Nic, plainMac } from '../../../adapters/linux-boot/index.ts';
import { GodwitError } from '../../../kernel/errors.ts';
import type { Finding } from '../../../kernel/finding.ts';

export interface Pairs {
  readonly pairs: ReadonlyMap<string, string>;
  readonly findings: readonly Finding[];
}

/** One card and one card belong together; of more, somebody must say it. */
export function pairCards(root: string, nics: readonly Nic[], given: ReadonlyMap<string, string>): Pairs {
  const cards = configuredCards(root).map(cardText);
  const macs = nics.map(({ mac }) => plainMac(mac) ?? mac);
  const pairs = new Map<string, string>();
  for (const [card, mac] of given) {
    const name = plainMac(card) ?? card;
    const plain = plainMac(mac);
    if (plain === undefined)
      throw new GodwitError('GW1001', `--nic ${card}=${mac}: ${mac} is no address of a network card`);
    if (macs.length > 0 && !macs.includes(plain))
      throw new GodwitError('GW2414', `The target has no network card ${plain}; it has ${macs.join(', ')}`);
    if ([...pairs.values()].includes(plain)) throw new GodwitError('GW1001', `--nic: ${plain} stands for two cards`);
    pairs.set(name, plain);
  }
  const left = cards.filter((card) => !pairs.has(card));
  const free = macs.filter((mac) => ![...pairs.values()].includes(mac));
  const [card, mac] = [left[0], free[0]];
  if (left.length === 0) return { pairs, findings: [] };
  if (card !== undefined && mac !== undefined && left.length === 1 && free.length === 1) {
    pairs.set(card, mac);
    return { pairs, findings: [] };
  }
  if (given.size === 0)
    throw new GodwitError(
      'GW2414',
      `The moved system configures ${left.join(', ')}; the target has ${macs.join(', ') || 'no network card'}`,
    );
  return {
    pairs,
    findings: left.map((name) => ({
      severity: 'warning',
      check: 'adapt.network-card',
      message: `No network card of the target stands for ${name}: its addresses will be missing`,
      remedy: `--nic ${name}=MAC`,
    })),
  };
}
