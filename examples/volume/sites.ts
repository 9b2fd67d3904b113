/** Where the three roles live, and the lines between them. */
import type { Troubles } from './far-link.ts';

export const SITES = ['primary', 'auxiliary', 'dr'] as const;
export type Site = (typeof SITES)[number];

export interface Sites {
  readonly network: 'namespaces' | 'loopback';
  /** Where the two listen. */
  readonly listen: Readonly<Record<'auxiliary' | 'dr', string>>;
  /** Where the others are, as seen from each. */
  readonly dial: { readonly primary: Readonly<Record<'auxiliary' | 'dr', string>>; readonly dr: { auxiliary: string } };
  /** What runs a command there, before its words. */
  within(site: Site): readonly string[];
  /** From now on the far line makes trouble. */
  worsen(): void;
  readonly troubles: Readonly<Troubles>;
  /** Nothing comes out of the site or into it any more. */
  cutOff(site: Site): Promise<void>;
  reconnect(site: Site): Promise<void>;
  close(): Promise<void>;
}
