import { elementEnd, findElement } from '../bson/walk.ts';
import { digestOf } from './digest.ts';
import type { DocStream } from './doc-stream.ts';
import type { RawKey } from './recheck.ts';

/** A key that differs, with the digests of both sides. */
export interface AsideRow {
  readonly kind: 'missing' | 'extra' | 'different';
  readonly key: RawKey;
  readonly sourceDigest?: string;
  readonly targetDigest?: string;
}

interface Waiting {
  readonly kind: 'missing' | 'extra';
  readonly key: RawKey;
  readonly digest: string;
}

/**
 * Documents of which the partner has not come by yet, where `_id`s are ordered
 * by a collation that we cannot repeat. Only digests and keys are kept.
 */
export class Aside {
  readonly #waiting = new Map<string, Waiting>();

  /** Takes the present document of a stream; gives what differs when its partner was here already. */
  add(stream: DocStream, kind: 'missing' | 'extra'): AsideRow | undefined {
    const { name, key } = keyAt(stream.buf, stream.start);
    const digest = digestOf(stream.buf.subarray(stream.start, stream.end));
    const partner = this.#waiting.get(name);
    if (!partner || partner.kind === kind) {
      this.#waiting.set(name, { kind, key, digest });
      return undefined;
    }
    this.#waiting.delete(name);
    if (partner.digest === digest) return undefined;
    const [sourceDigest, targetDigest] = kind === 'missing' ? [digest, partner.digest] : [partner.digest, digest];
    return { kind: 'different', key, sourceDigest, targetDigest };
  }

  /** What never found its partner. */
  *rest(): Iterable<AsideRow> {
    for (const { kind, key, digest } of this.#waiting.values()) {
      yield { kind, key, ...(kind === 'missing' ? { sourceDigest: digest } : { targetDigest: digest }) };
    }
  }
}

/** The key of the document at an offset: raw, and as `readByKeys` names it. */
export function keyAt(buf: Buffer, start: number): { name: string; key: RawKey } {
  const at = findElement(buf, start, '_id');
  if (at < 0) return { name: '', key: Buffer.from([5, 0, 0, 0, 0]) };
  const end = elementEnd(buf, at);
  const key = Buffer.alloc(4 + end - at + 1);
  key.writeInt32LE(key.length, 0);
  buf.copy(key, 4, at, end);
  return { name: buf.toString('hex', at, end), key };
}
