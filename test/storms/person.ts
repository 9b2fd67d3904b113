/** The little world of a storm: customers with subscriptions, and what may be done to them, as pure functions. */

export interface Person {
  readonly email: string;
  /** Plan by id. */
  readonly subs: Readonly<Record<string, string>>;
}

/** Undefined: there is no such customer. */
export type Look = Person | undefined;

export type Op =
  | { readonly kind: 'create'; readonly email: string }
  | { readonly kind: 'email'; readonly email: string }
  /** The e-mail again, in the form for an application with SQL of its own. */
  | { readonly kind: 'legacy'; readonly email: string }
  | { readonly kind: 'insert'; readonly id: string; readonly plan: string }
  | { readonly kind: 'update'; readonly id: string; readonly plan: string }
  | { readonly kind: 'remove'; readonly id: string }
  | { readonly kind: 'delete' };

/** How a customer looks after an operation; `refused` when it does not fit them. */
export function apply(look: Look, op: Op): Look | 'refused' {
  if (op.kind === 'create') return look ? 'refused' : { email: op.email, subs: {} };
  if (op.kind === 'delete') return undefined;
  // Statements of an application's own change no row where there is none; the library's refuse.
  if (!look) return op.kind === 'remove' ? undefined : 'refused';
  switch (op.kind) {
    case 'email':
    case 'legacy':
      return { ...look, email: op.email };
    case 'insert':
      return { ...look, subs: { ...look.subs, [op.id]: op.plan } };
    case 'update':
      return op.id in look.subs ? { ...look, subs: { ...look.subs, [op.id]: op.plan } } : 'refused';
    case 'remove': {
      const { [op.id]: _, ...rest } = look.subs;
      return { ...look, subs: rest };
    }
  }
}

/** One text for each look. */
export function textOf(look: Look): string {
  if (!look) return 'gone';
  return JSON.stringify([look.email, Object.entries(look.subs).sort(([a], [b]) => (a < b ? -1 : 1))]);
}
