import type { BytePath } from '../libc/bytes.ts';

/** What is not carried, or not as it is, and why. */
export type Why =
  /** A socket: whoever listens on it makes it anew. */
  | 'socket'
  /** A file system that lives in memory. */
  | 'memory'
  /** A file system of another machine. */
  | 'network'
  /** A file system that shows what other files hold: layers, images, somebody's program. */
  | 'view'
  /** Files under a mount point. */
  | 'hidden'
  /** It may not be looked under a mount point. */
  | 'unseen'
  /** It was deleted and is still open: it ends with the process that has it open. */
  | 'deleted'
  /** Godwit's own state, or the target itself. */
  | 'own'
  /** Somebody has it alone, or refuses it; it was read all the same. */
  | 'held'
  /** It could not be read. */
  | 'unreadable'
  /** The target could not keep something of it. */
  | 'refused'
  /** It changed in every round. */
  | 'changing';

export interface Remark {
  readonly why: Why;
  readonly path: BytePath;
  readonly detail?: string;
}

export type OnRemark = (remark: Remark) => void;

/** With one of these a copy is not proven. */
export const BARS_PROOF: readonly Why[] = ['unreadable', 'refused', 'changing'];
