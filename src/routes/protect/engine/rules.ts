/** Which copies an acknowledgement needs, by policy and mode. The whole rule is this table. */

export const POLICIES = ['seed', 'zero', 'barrier'] as const;
/**
 * - `seed`: local, and the order at the DR: what is not copied when the primary dies is lost, and known;
 * - `zero`: also the payload at the auxiliary: nothing is lost by any single failure;
 * - `barrier`: plain writes are acknowledged at once, FLUSH and FUA as in `zero`.
 */
export type Policy = (typeof POLICIES)[number];

/** Numbered as in mode records. */
export const MODES = ['full', 'no-auxiliary', 'no-dr'] as const;
/** Which roles keep up. Every change is a record in the order before anything is acknowledged by it. */
export type Mode = (typeof MODES)[number];

/** How far each copy has come, as sequences. */
export interface Marks {
  /** Durable in the primary's own ring. */
  readonly local: number;
  /** Record durable at the DR. */
  readonly order: number;
  /** Record and payload durable at the auxiliary. */
  readonly share: number;
  /** Payload durable at the DR, without a gap. */
  readonly data: number;
}

type Mark = keyof Marks;

const NEEDS: Readonly<Record<Policy, Readonly<Record<Mode, readonly Mark[]>>>> = {
  seed: { full: ['local', 'order'], 'no-auxiliary': ['local', 'order'], 'no-dr': ['local', 'share'] },
  zero: { full: ['local', 'order', 'share'], 'no-auxiliary': ['local', 'order', 'data'], 'no-dr': ['local', 'share'] },
  barrier: {
    full: ['local', 'order', 'share'],
    'no-auxiliary': ['local', 'order', 'data'],
    'no-dr': ['local', 'share'],
  },
};

/** Up to where operations are safe by policy and mode. */
export function settledBy(policy: Policy, mode: Mode, marks: Marks): number {
  return Math.min(...NEEDS[policy][mode].map((mark) => marks[mark]));
}

/** Whether a plain write is acknowledged before it is settled. */
export function answersAtOnce(policy: Policy): boolean {
  return policy === 'barrier';
}

/** The moves between modes: what must hold for each. */
export const NEXT_MODE: Readonly<Record<Mode, readonly { readonly to: Mode; readonly when: ModeCondition }[]>> = {
  full: [
    { to: 'no-auxiliary', when: 'auxiliary-silent' },
    { to: 'no-dr', when: 'dr-silent' },
  ],
  'no-auxiliary': [
    { to: 'full', when: 'auxiliary-level' },
    { to: 'no-dr', when: 'dr-silent-auxiliary-level' },
  ],
  'no-dr': [
    { to: 'full', when: 'dr-level' },
    { to: 'no-auxiliary', when: 'auxiliary-silent-dr-level' },
  ],
};

export type ModeCondition =
  | 'auxiliary-silent'
  | 'dr-silent'
  | 'auxiliary-level'
  | 'dr-level'
  | 'dr-silent-auxiliary-level'
  | 'auxiliary-silent-dr-level';
