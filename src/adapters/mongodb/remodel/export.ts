import { join } from 'node:path';
import { deserialize, EJSON } from 'bson';
import { GodwitError, throwIfAborted } from '../../../kernel/errors.ts';
import type { CompareOptions, ExportedSnapshot, Model, Row, Value } from '../../../kernel/remodel/index.ts';
import { findControl } from './control.ts';
import { CsvFile } from './csv.ts';
import { documentsOf, type ModelDocuments, RAW, rawDocuments } from './documents.ts';
import { oldCollection, stateOf } from './identity-view.ts';
import { jsonText } from './json-write.ts';
import { fieldOf } from './paths.ts';
import type { Room } from './relay.ts';
import { type Scanned, scan } from './scan.ts';
import { storeError } from './transactions.ts';
import { downOf } from './transforms.ts';
import { storedForm } from './values.ts';

/** What stands in every column of a row that cannot be read: no column has such a text on the other side. */
const UNREADABLE = '\u0001unreadable';

/** See `RemodelAdmin.exportSnapshot`. */
export async function exportFiles(
  room: Room,
  model: Model,
  folder: string,
  { byValue, maxRate, signal }: CompareOptions,
): Promise<ExportedSnapshot> {
  const documents = documentsOf(model);
  const columns = byValue ? documents.old.fields.map(({ property }) => property) : [];
  const header = ['k', ...columns.map((_, index) => `c${index}`)];
  const file = (name: string, columnsOf: readonly string[]) => new CsvFile(join(folder, `${name}.csv`), columnsOf);
  const files = {
    old: file('old', header),
    new: file('new', header),
    pending: file('pending', ['k']),
    tombstone: file('tombstone', ['k']),
  };
  const snapshots: string[] = [];
  try {
    const onSnapshot = (name: string) => void snapshots.push(name);
    for await (const batch of scan(room, documents, { byValue, maxRate, signal, onSnapshot })) {
      for (const scanned of batch) {
        const { identity, old } = scanned;
        if (old !== undefined) await files.old.add([identity, ...oldTexts(documents, columns, old)]);
        if ((scanned.new[model.root]?.length ?? 0) > 0)
          await files.new.add([identity, ...newTexts(documents, columns, scanned)]);
        // Documents of a list that nobody has. Where there is an old one, the root is missing, which needs no line here.
        else if (byValue && old === undefined && Object.values(scanned.new).some((list) => list.length > 0))
          await files.new.add([identity, ...columns.map(() => `${UNREADABLE} new`)]);
        if (scanned.isPending || scanned.isQuarantined) await files.pending.add([identity]);
        if (scanned.isBuried) await files.tombstone.add([identity]);
      }
    }
    for (const each of Object.values(files)) await each.close();
  } catch (error) {
    for (const each of Object.values(files)) each.destroy();
    throw storeError(error, `exporting a snapshot of ${model.name}`);
  }
  return {
    snapshot: snapshots.join(', '),
    oldFile: files.old.path,
    newFile: files.new.path,
    pendingFile: files.pending.path,
    tombstoneFile: files.tombstone.path,
    columns,
  };
}

function oldTexts({ old }: ModelDocuments, columns: readonly string[], raw: Buffer): (string | null)[] {
  if (columns.length === 0) return [];
  const unreadable = new Set(old.unreadable(raw));
  return columns.map((property) => (unreadable.has(property) ? UNREADABLE : textOf(old.decodeOne(raw, property))));
}

function newTexts(documents: ModelDocuments, columns: readonly string[], scanned: Scanned): (string | null)[] {
  if (columns.length === 0) return [];
  let row: Row;
  try {
    row = downOf(documents.model, stateOf(documents, { documents: scanned.new }));
    return columns.map((property) => {
      const { type } = documents.old.field(property).column;
      return textOf(storedForm(type, row[property] ?? null));
    });
  } catch (error) {
    if (error instanceof GodwitError && error.code.startsWith('GW5')) return columns.map(() => `${UNREADABLE} new`);
    throw error;
  }
}

function textOf(value: Value): string | null {
  if (value === null) return null;
  if (value instanceof Uint8Array) return Buffer.from(value).toString('hex');
  return Object.is(value, -0) ? '-0' : String(value);
}

/** See `RemodelAdmin.archive`: whole documents as extended JSON, because they may have fields that the model does not know. */
export async function archiveOld(room: Room, model: Model, path: string, signal: AbortSignal): Promise<number> {
  const control = await findControl(room.db, model);
  const collection = oldCollection(room.db, documentsOf(model), control ?? { isTrapped: false });
  const file = new CsvFile(path, ['_id', 'document']);
  let rows = 0;
  try {
    const cursor = collection.find({}, RAW).sort({ _id: 1 });
    while (await cursor.hasNext()) {
      throwIfAborted(signal);
      for (const raw of rawDocuments(cursor.readBufferedDocuments())) {
        const id = fieldOf(raw, 0, '_id');
        await file.add([
          id === undefined ? null : archived(id.type, id.buf, id.start, id.end),
          archived(3, raw, 0, raw.length),
        ]);
        rows += 1;
      }
    }
    await file.close();
    return rows;
  } catch (error) {
    file.destroy();
    throw storeError(error, `archiving ${model.from.name}`);
  }
}

/** What our own form refuses (deprecated types, fields like `$oid`) is archived in the driver's. */
function archived(type: number, buf: Buffer, start: number, end: number): string {
  try {
    return jsonText(type, buf, start, end);
  } catch (error) {
    if (!(error instanceof GodwitError) || error.code !== 'GW5006' || type !== 3) throw error;
    return EJSON.stringify(deserialize(buf.subarray(start, end), { promoteValues: false, bsonRegExp: true }), {
      relaxed: false,
    });
  }
}
