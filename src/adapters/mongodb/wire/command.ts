/** Control commands as objects: their bytes are few, so the `bson` library does them. */
import { type Document, deserialize, serialize } from 'bson';
import { fromServerReply, isOk } from '../errors.ts';

/** A command names its database in itself (OP_MSG). */
export type Command = Document & { readonly $db: string };

export interface RunOptions {
  /** What was being done, for the error message; default the command's name. */
  readonly where?: string;
  /**
   * `false` keeps the number types apart (Int32, Double, Long objects), for
   * replies whose values are written elsewhere again. By default numbers are
   * plain, and an int64 beyond 2^53 stays a Long.
   */
  readonly promoteValues?: boolean;
}

/** A command as BSON. Fields that are undefined are left out. */
export function commandDoc(doc: Command): Buffer {
  const bytes = serialize(doc, { ignoreUndefined: true });
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/**
 * A reply as an object. Regular expressions stay BSONRegExp, whose options
 * JavaScript cannot hold; bytes that are not UTF-8 do not stop the parsing.
 */
export function parseReply(body: Buffer, promoteValues = true): Document {
  return deserialize(body, { promoteValues, bsonRegExp: true, validation: { utf8: false } });
}

/** Parses a reply and throws the mapped error where the command failed. */
export function checkReply(body: Buffer, where: string, promoteValues = true): Document {
  const reply = parseReply(body, promoteValues);
  if (!isOk(reply)) throw fromServerReply(reply, where);
  return reply;
}
