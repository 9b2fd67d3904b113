/** What a bundle of operations says, one record each, for who keeps a log of what was sent. */
import { createHash } from 'node:crypto';
import { type BytePath, joinPath } from '../libc/bytes.ts';
import { unpackMetadata } from './metadata.ts';
import { OP } from './operation.ts';
import { Unpacker } from './packer.ts';

export type ChangeType = Exclude<keyof typeof OP, 'cd'>;

/** One change as the target carries it out. Content itself is not in it: its hash is. */
export interface ChangeRecord {
  readonly type: ChangeType;
  readonly mapping: number;
  readonly path: BytePath;
  readonly offset?: number;
  readonly length?: number;
  readonly sha256?: string;
  /** What a link leads to: of a symbolic one as it is written, of another one a path of the mapping. */
  readonly to?: BytePath;
}

const TYPES: ReadonlyMap<number, keyof typeof OP> = new Map(
  Object.entries(OP).map(([name, op]) => [op, name as keyof typeof OP]),
);

/** The records of one bundle, in order. */
export function* describe(operations: Buffer): Generator<ChangeRecord, void, void> {
  const from = new Unpacker(operations);
  let [mapping, directory]: [number, BytePath] = [0, ''];
  while (!from.done) {
    const type = TYPES.get(from.u8());
    if (type === undefined) throw new Error('An operation is not known');
    if (type === 'cd') [mapping, directory] = [from.u16(), from.text()];
    else if (type === 'leave') {
      unpackMetadata(from);
      yield { type, mapping, path: directory };
    } else if (type === 'lock') {
      const locked = { type, mapping: from.u16(), path: from.text() };
      from.u32();
      yield locked;
    } else {
      const path = joinPath(directory, from.text());
      yield { type, mapping, path, ...REST[type](from) };
      if (type === 'enter') directory = path;
    }
  }
}

type Rest = Omit<ChangeRecord, 'type' | 'mapping' | 'path'>;

/** What follows the name. */
const REST: Readonly<Record<Exclude<ChangeType, 'leave' | 'lock'>, (from: Unpacker) => Rest>> = {
  enter: () => ({}),
  remove: () => ({}),
  file: (from) => {
    unpackMetadata(from);
    return contentOf(0, from);
  },
  begin: (from) => {
    unpackMetadata(from);
    return { length: from.long() };
  },
  data: (from) => contentOf(from.long(), from),
  change: (from) => ({ length: from.long() }),
  hole: (from) => ({ offset: from.long(), length: from.long() }),
  end: (from) => {
    unpackMetadata(from);
    return {};
  },
  symlink: (from) => {
    unpackMetadata(from);
    return { to: from.text() };
  },
  node: (from) => {
    unpackMetadata(from);
    from.u32();
    from.u32();
    return {};
  },
  link: (from) => {
    from.u16();
    return { to: from.text() };
  },
};

function contentOf(offset: number, from: Unpacker): Rest {
  const content = from.blob();
  return { offset, length: content.length, sha256: createHash('sha256').update(content).digest('hex') };
}
