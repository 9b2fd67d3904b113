import type { Identity } from './store.ts';

/** What a message says it is, in its own body: a queue may hold what others put there. */
const MARK = 'godwit.ring';

/** The body of the message that rings for one identity: a JSON object in UTF-8. */
export function encodeRing(identity: Identity): Buffer {
  return Buffer.from(JSON.stringify({ is: MARK, identity }));
}

/** The identity of a message; undefined when the message is not one of ours. */
export function decodeRing(body: Uint8Array): Identity | undefined {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(body));
  } catch {
    return undefined; // not JSON, or not even text
  }
  if (typeof value !== 'object' || value === null) return undefined;
  const { is, identity } = value as { readonly is?: unknown; readonly identity?: unknown };
  return is === MARK && typeof identity === 'string' ? identity : undefined;
}
