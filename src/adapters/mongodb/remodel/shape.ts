import { EJSON } from 'bson';
import type { Db, Document } from 'mongodb';
import type { Model } from '../../../kernel/remodel/index.ts';
import { documentsOf } from './documents.ts';
import { retiredName } from './names.ts';
import { storeError } from './transactions.ts';

/** Of a collection what `create` took, and its indexes; of the model what it reads and writes. As lines, in order. */
export async function readShape(db: Db, model: Model): Promise<readonly string[]> {
  const { old, new: tables } = documentsOf(model);
  try {
    const specs = await db.listCollections({}, { nameOnly: false }).toArray();
    const lines: string[] = [];
    for (const { name, fields } of [old, ...Object.values(tables)]) {
      const retired = specs.find((each) => each.name === retiredName(name));
      const spec = (retired ?? specs.find((each) => each.name === name)) as Document | undefined;
      lines.push(`${name}: ${spec === undefined ? 'not there' : spec['type']}`);
      for (const { path, column } of fields)
        lines.push(`${name}: field ${path} ${column.type}${column.isNullable ? ' or null' : ''}`);
      for (const [option, value] of Object.entries((spec?.['options'] as Document | undefined) ?? {}))
        lines.push(`${name}: option ${option} ${EJSON.stringify(value)}`);
      if (spec?.['type'] === 'collection') lines.push(...(await indexLines(db, String(spec['name']), name)));
    }
    return lines;
  } catch (error) {
    throw storeError(error, `reading the shape of the collections of ${model.name}`);
  }
}

async function indexLines(db: Db, collection: string, name: string): Promise<string[]> {
  const indexes = await db.collection(collection).indexes();
  return indexes
    .map(({ v: _version, ns: _namespace, ...index }: Document) => `${name}: index ${EJSON.stringify(index)}`)
    .sort();
}
