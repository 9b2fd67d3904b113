import { GodwitError } from '../../kernel/errors.ts';
import { BsonBuilder } from './bson/builder.ts';
import { findElement, walk } from './bson/walk.ts';
import { type CollectionSpec, listDatabase, listIndexes, readFlag } from './catalog.ts';
import { serverCodeOf } from './errors.ts';
import {
  createIndexes,
  dropIndex,
  indexName,
  indexOption,
  NEVER_EXPIRES,
  runRaw,
  structureError,
} from './structure.ts';
import type { WireConnection } from './wire/connection.ts';
import type { TargetName } from './write.ts';

const CANNOT_CONVERT_TO_UNIQUE = 359;
const DUPLICATE_KEY = 11000;

/**
 * Makes the indexes of a target collection exactly those of the source:
 * unique ones unique, hidden ones hidden, none missing and none too many. Only
 * their expiry still waits: see `reviveExpiry`. For the time between fence and
 * switch, when nothing is written. Idempotent.
 */
export async function finishIndexes(connection: WireConnection, name: TargetName, spec: CollectionSpec): Promise<void> {
  const collection = spec.series ? name.collection.replace(/^system\.buckets\./, '') : name.collection;
  const target = { db: name.db, collection };
  const present = new Map(
    (await listIndexes(connection, name.db, collection)).map((index) => [indexName(index), index]),
  );
  const wanted = new Set(spec.indexes.map(indexName));
  for (const extra of present.keys()) if (!wanted.has(extra)) await dropIndex(connection, target, extra);
  for (const index of spec.indexes) {
    const found = present.get(indexName(index));
    if (found) await finishIndex(connection, target, index, found);
    else await makeUnique(target, index, () => createIndexes(connection, target, [inert(index)], { deferred: false }));
  }
}

/**
 * Lets the target expire documents from now on. After the last proof: the
 * target's monitor would else take away what the source's has not come to yet.
 */
export async function reviveExpiry(connection: WireConnection, name: TargetName, spec: CollectionSpec): Promise<void> {
  const target = {
    db: name.db,
    collection: spec.series ? name.collection.replace(/^system\.buckets\./, '') : name.collection,
  };
  for (const index of spec.indexes) {
    const expiry = indexOption(index, 'expireAfterSeconds');
    if (!expiry) continue;
    await modifyIndex(connection, target, indexName(index), (out) =>
      out.appendElement(expiry.type, 'expireAfterSeconds', expiry.value),
    );
  }
  await finishExpiry(connection, target, spec);
}

/** The specification with an expiry that never comes, if it has any. */
function inert(index: Buffer): Buffer {
  const out = new BsonBuilder(256).begin();
  walk(index, 0, (type, nameStart, nameEnd, valueStart, valueEnd) => {
    const option = index.subarray(nameStart, nameEnd);
    if (option.equals(EXPIRY)) out.appendInt32('expireAfterSeconds', NEVER_EXPIRES);
    else out.appendElement(type, option, index, valueStart, valueEnd);
  });
  return Buffer.from(out.end().finish());
}

const EXPIRY = Buffer.from('expireAfterSeconds');

async function finishIndex(
  connection: WireConnection,
  target: TargetName,
  index: Buffer,
  found: Buffer,
): Promise<void> {
  const name = indexName(index);
  if (readFlag(index, 'unique') && !readFlag(found, 'unique')) {
    await makeUnique(target, index, async () => {
      await modifyIndex(connection, target, name, (out) => out.appendBool('prepareUnique', true));
      await modifyIndex(connection, target, name, (out) => out.appendBool('unique', true));
    });
  }
  if (readFlag(index, 'prepareUnique') && !readFlag(found, 'prepareUnique')) {
    await modifyIndex(connection, target, name, (out) => out.appendBool('prepareUnique', true));
  }
  if (readFlag(index, 'hidden') !== readFlag(found, 'hidden')) {
    await modifyIndex(connection, target, name, (out) => out.appendBool('hidden', readFlag(index, 'hidden')));
  }
}

/** The expiry of the collection itself: clustered collections and time series have one. */
async function finishExpiry(connection: WireConnection, target: TargetName, spec: CollectionSpec): Promise<void> {
  const options = spec.series ?? spec.options;
  if (findElement(options, 0, 'expireAfterSeconds') < 0) return;
  const expiry = indexOption(options, 'expireAfterSeconds');
  if (!expiry) return;
  const command = new BsonBuilder(256).begin();
  command.appendString('collMod', target.collection);
  command.appendElement(expiry.type, 'expireAfterSeconds', expiry.value);
  command.appendString('$db', target.db).end();
  await runRaw(connection, command.finish());
}

async function modifyIndex(
  connection: WireConnection,
  target: TargetName,
  index: string,
  change: (out: BsonBuilder) => void,
): Promise<void> {
  const command = new BsonBuilder(256).begin();
  command.appendString('collMod', target.collection);
  command.startDocument('index').appendString('name', index);
  change(command);
  command.end();
  command.appendString('$db', target.db).end();
  await runRaw(connection, command.finish());
}

async function makeUnique(target: TargetName, index: Buffer, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    const code = serverCodeOf(error);
    if (code !== CANNOT_CONVERT_TO_UNIQUE && code !== DUPLICATE_KEY) {
      throw structureError(error, `make index ${indexName(index)} of ${target.db}.${target.collection} unique`);
    }
    throw new GodwitError(
      'GW5004',
      `Index ${indexName(index)} of ${target.db}.${target.collection} has duplicate keys on the target`,
      {
        details: { namespace: `${target.db}.${target.collection}`, index: indexName(index) },
        cause: error,
      },
    );
  }
}

/** Takes the life out of what expires again, after a cutover that was undone. Idempotent. */
export async function deferExpiry(connection: WireConnection, name: TargetName): Promise<void> {
  const collection = name.collection.replace(/^system\.buckets\./, '');
  const target = { db: name.db, collection };
  for (const index of await listIndexes(connection, name.db, collection)) {
    if (!indexOption(index, 'expireAfterSeconds')) continue;
    await modifyIndex(connection, target, indexName(index), (out) =>
      out.appendInt32('expireAfterSeconds', NEVER_EXPIRES),
    );
  }
  const [found] = await listDatabase(connection, name.db, { name: collection });
  if (!found || findElement(found.options, 0, 'expireAfterSeconds') < 0) return;
  const command = new BsonBuilder(256)
    .begin()
    .appendString('collMod', collection)
    .appendString('expireAfterSeconds', 'off');
  await runRaw(connection, command.appendString('$db', name.db).end().finish());
}

/** Whether the server itself deletes documents of a collection as they age. */
export function expires(spec: CollectionSpec): boolean {
  return (
    findElement(spec.options, 0, 'expireAfterSeconds') >= 0 ||
    spec.indexes.some((index) => findElement(index, 0, 'expireAfterSeconds') >= 0)
  );
}
