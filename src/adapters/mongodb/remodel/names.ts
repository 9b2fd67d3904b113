import type { Document } from 'mongodb';
import type { Identity, Model } from '../../../kernel/remodel/index.ts';

/** Godwit's own collections, beside those of the model. */
export const CONTROL = {
  remodel: 'godwit_remodel',
  audit: 'godwit_audit',
  lease: 'godwit_lease',
  /** Locks, and which identities wait for the relay: see outbox.ts. */
  outbox: 'godwit_outbox',
  /** When an identity was last rung for. */
  rung: 'godwit_rung',
  tombstone: 'godwit_tombstone',
  dirty: 'godwit_dirty',
  quarantine: 'godwit_quarantine',
  /** The guard's place in the change stream, and its heartbeat. */
  guard: 'godwit_guard',
  shadow: 'godwit_shadow',
} as const;

/** `_id` of what a control collection has of an identity. No remodel's name holds a slash. */
export function idOf(model: Model, identity: Identity): string {
  return `${model.name}/${identity}`;
}

/** The identity of such an `_id`. */
export function identityOfId(model: Model, id: string): Identity {
  return id.slice(model.name.length + 1);
}

/** All `_id`s of one remodel: `0` follows the slash. */
export function idsOf(model: Model): Document {
  return { $gte: `${model.name}/`, $lt: `${model.name}0` };
}

export function retiredName(name: string): string {
  return `godwit_retired_${name}`;
}
