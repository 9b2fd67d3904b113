/**
 * The archive of mongodump (mongo-tools, common/archive/spec.md): a magic
 * number, a header, the metadata of every collection, then the documents in
 * segments, each under the name of its collection.
 */
import { GodwitError } from '../../../kernel/errors.ts';
import { BsonBuilder } from '../bson/builder.ts';
import { findElement, valueOffset } from '../bson/walk.ts';
import { readFlag, readString } from '../catalog.ts';

export const ARCHIVE_MAGIC = Buffer.from([0x6d, 0xe2, 0x99, 0x81]);
/** Ends the prelude and every segment. */
export const TERMINATOR = Buffer.from([0xff, 0xff, 0xff, 0xff]);
const FORMAT_VERSION = '0.1';

/** The log goes by this name, in no database. It must be the last: mongorestore stops at it. */
export const ARCHIVE_OPLOG = { db: '', name: 'oplog' } as const;

export interface ArchiveEntry {
  readonly db: string;
  readonly name: string;
  /** The text of its `.metadata.json`; empty for the log. */
  readonly metadata: string;
  readonly type: 'collection' | 'view' | 'timeseries' | '';
}

export interface ArchivePrelude {
  readonly serverVersion: string;
  readonly toolVersion: string;
  readonly concurrent: number;
  readonly entries: readonly ArchiveEntry[];
}

/** Everything in front of the first segment. */
export function preludeBytes(prelude: ArchivePrelude): Buffer {
  const out = new BsonBuilder(4096).begin();
  out.appendInt32('concurrent_collections', prelude.concurrent).appendString('version', FORMAT_VERSION);
  out.appendString('server_version', prelude.serverVersion).appendString('tool_version', prelude.toolVersion).end();
  for (const { db, name, metadata, type } of prelude.entries) {
    out.begin().appendString('db', db).appendString('collection', name).appendString('metadata', metadata);
    out.appendInt32('size', 0).appendString('type', type).end();
  }
  return Buffer.concat([ARCHIVE_MAGIC, out.finish(), TERMINATOR]);
}

/** What stands before documents of a collection. */
export function segmentHeader(name: { db: string; name: string }): Buffer {
  return namespaceHeader(name, false, 0n);
}

/** Says that no documents of a collection follow, and the sum of all of them. */
export function endOfNamespace(name: { db: string; name: string }, crc: bigint): Buffer {
  return Buffer.concat([namespaceHeader(name, true, crc), TERMINATOR]);
}

function namespaceHeader(name: { db: string; name: string }, end: boolean, crc: bigint): Buffer {
  const out = new BsonBuilder(256).begin();
  out.appendString('db', name.db).appendString('collection', name.name).appendBool('EOF', end);
  // An unsigned number in the place of a signed one, as the tool does it.
  return Buffer.from(out.appendInt64('CRC', BigInt.asIntN(64, crc)).end().finish());
}

/** The header of a segment. */
export interface NamespaceHeader {
  readonly db: string;
  readonly name: string;
  readonly end: boolean;
  readonly crc: bigint;
}

/** Throws GW2101 when the document is no such header, to the last bit: nothing else vouches for it. */
export function readNamespaceHeader(doc: Buffer, file: string): NamespaceHeader {
  const db = readString(doc, 'db') ?? '';
  const name = readString(doc, 'collection') ?? '';
  const end = readFlag(doc, 'EOF');
  const at = findElement(doc, 0, 'CRC');
  // Only the last header of a collection has the sum.
  const crc = end && at >= 0 && doc[at] === 0x12 ? BigInt.asUintN(64, doc.readBigInt64LE(valueOffset(doc, at))) : 0n;
  if (name === '' || !namespaceHeader({ db, name }, end, crc).equals(doc)) {
    throw new GodwitError('GW2101', `${file} is damaged: a segment has no header`, { details: { file } });
  }
  return { db, name, end, crc };
}

/** Takes the prelude's documents (without magic and terminator) apart. Throws GW2103. */
export function readPrelude(documents: readonly Buffer[], file: string): ArchivePrelude {
  const foreign = (why: string) => new GodwitError('GW2103', `${file}: ${why}`, { details: { file } });
  const [header, ...entries] = documents;
  const version = header && readString(header, 'version');
  if (!header || version === undefined) throw foreign('the archive has no header');
  if (version !== FORMAT_VERSION) throw foreign(`archives of version ${version} are not known`);
  const concurrent = findElement(header, 0, 'concurrent_collections');
  return {
    serverVersion: readString(header, 'server_version') ?? '',
    toolVersion: readString(header, 'tool_version') ?? '',
    concurrent: concurrent < 0 ? 1 : header.readInt32LE(valueOffset(header, concurrent)),
    entries: entries.map((entry) => {
      const db = readString(entry, 'db');
      const name = readString(entry, 'collection');
      if (db === undefined || name === undefined) throw foreign('a collection in its header has no name');
      const type = readString(entry, 'type') ?? '';
      return { db, name, metadata: readString(entry, 'metadata') ?? '', type: type as ArchiveEntry['type'] };
    }),
  };
}

/** Whether a terminator stands here. */
export function isTerminator(buf: Buffer, at: number): boolean {
  return at + 4 <= buf.length && buf.readUInt32LE(at) === 0xffffffff;
}
