import type { ClientSession, Collection, Document } from 'mongodb';
import type { Identity, Row } from '../../../kernel/remodel/index.ts';
import type { TableDocuments } from './table-documents.ts';

export interface OldRow {
  readonly identity: Identity;
  /** The document as it is. */
  readonly raw: Buffer | undefined;
  /** The row that it shall be; undefined for none. */
  readonly row: Row | undefined;
}

/** Writes what differs, and nothing when nothing does. Gives whether it wrote. */
export async function writeOldDocument(
  collection: Collection,
  old: TableDocuments,
  session: ClientSession,
  { identity, raw, row }: OldRow,
): Promise<boolean> {
  const filter = old.ofIdentity(identity);
  if (row === undefined) {
    if (raw !== undefined) await collection.deleteOne(filter, { session });
    return raw !== undefined;
  }
  if (raw === undefined) {
    await collection.insertOne(old.document(row), { session });
    return true;
  }
  const changes = old.changes(raw, row);
  if (changes !== undefined) await collection.updateOne(filter, changes as Document, { session });
  return changes !== undefined;
}
