/** What a watchdog is told, and what it answers: JSON, one object a line. The login goes by pipe, never by argument. */
import type { WireTarget } from '../wire/connection.ts';

export interface WatchdogOrder {
  readonly address: string;
  readonly target: SentTarget;
  /** The journal to write to. */
  readonly journal: string;
  /** It unlocks when it has heard nothing for so long. */
  readonly leaseMs: number;
}

/** After the order: lock; say whether it still stands, which also renews the lease; unlock and end. */
export type WatchdogRequest =
  | { readonly ask: 'lock' }
  | { readonly ask: 'held'; readonly id: number }
  | { readonly ask: 'release'; readonly why: string };

export type WatchdogAnswer =
  | { readonly say: 'ready' }
  | { readonly say: 'locked' }
  | { readonly say: 'held'; readonly id: number; readonly held: boolean }
  /** The last word: no lock of ours stands. */
  | { readonly say: 'released'; readonly why: string }
  | { readonly say: 'failed'; readonly code: string; readonly message: string };

type Bytes = { readonly base64: string };

/** How to reach and log in to a member, as JSON. */
export interface SentTarget extends Omit<WireTarget, 'tls'> {
  readonly tls?: {
    readonly servername?: string;
    readonly ca?: Bytes[];
    readonly cert?: Bytes[];
    readonly key?: Bytes[];
    readonly passphrase?: string;
    readonly rejectUnauthorized: boolean;
    readonly anyHostname: boolean;
  };
}

export function sendTarget({ tls, ...rest }: WireTarget): SentTarget {
  if (tls === undefined) return rest;
  return {
    ...rest,
    tls: {
      servername: tls.servername,
      ca: sendBytes(tls.ca),
      cert: sendBytes(tls.cert),
      key: sendBytes(tls.key),
      passphrase: tls.passphrase,
      rejectUnauthorized: tls.rejectUnauthorized ?? true,
      anyHostname: tls.checkServerIdentity !== undefined,
    },
  };
}

export function receiveTarget({ tls, ...rest }: SentTarget): WireTarget {
  if (tls === undefined) return rest;
  return {
    ...rest,
    tls: {
      servername: tls.servername,
      ca: receiveBytes(tls.ca),
      cert: receiveBytes(tls.cert),
      key: receiveBytes(tls.key),
      passphrase: tls.passphrase,
      rejectUnauthorized: tls.rejectUnauthorized,
      ...(tls.anyHostname ? { checkServerIdentity: () => undefined } : {}),
    },
  };
}

function sendBytes(value: unknown): Bytes[] | undefined {
  if (value === undefined || value === null) return undefined;
  return [value]
    .flat()
    .map((one) => ({ base64: (Buffer.isBuffer(one) ? one : Buffer.from(String(one))).toString('base64') }));
}

function receiveBytes(sent: readonly Bytes[] | undefined): Buffer[] | undefined {
  return sent?.map(({ base64 }) => Buffer.from(base64, 'base64'));
}
