import { type Document, MongoClient } from 'mongodb';
import type { ColumnType, DescribedColumn } from '../../../kernel/remodel/index.ts';
import { storeError } from './transactions.ts';

const SAMPLED = 200;

/** By the name that `$type` gives. */
const TYPES: Readonly<Record<string, ColumnType>> = {
  string: 'text',
  int: 'integer',
  long: 'bigint',
  double: 'float',
  decimal: 'numeric',
  bool: 'boolean',
  date: 'timestamp',
  array: 'json',
  binData: 'bytes',
};

/** The fields of a collection, by a sample of its documents; those of embedded documents by their dotted path. */
export async function describeCollection(uri: string, name: string): Promise<readonly DescribedColumn[]> {
  const client = new MongoClient(uri, { appName: 'godwit' });
  try {
    const documents = await client
      .db()
      .collection(name)
      .aggregate([{ $sample: { size: SAMPLED } }], { promoteValues: false })
      .toArray();
    return describeDocuments(documents);
  } catch (error) {
    throw storeError(error, `reading the fields of ${name}`);
  } finally {
    await client.close();
  }
}

/** Pure. */
function describeDocuments(documents: readonly Document[]): readonly DescribedColumn[] {
  const seen = new Map<string, { readonly types: Set<string>; count: number }>();
  for (const document of documents)
    for (const [path, type] of fieldsOf(document, '')) {
      const field = seen.get(path) ?? { types: new Set<string>(), count: 0 };
      field.types.add(type);
      field.count += 1;
      seen.set(path, field);
    }
  return [...seen].map(([storedAs, { types, count }]) => {
    const values = [...types].filter((type) => type !== 'null');
    return {
      storedAs,
      // Mixed types have no column of their own.
      type: values.length === 1 ? TYPES[values[0] as string] : undefined,
      storedType: values.join(' or ') || 'null',
      isNullable: types.has('null') || count < documents.length,
      isKey: storedAs === '_id',
    };
  });
}

function fieldsOf(document: Document, prefix: string): readonly (readonly [string, string])[] {
  return Object.entries(document).flatMap(([name, value]): readonly (readonly [string, string])[] => {
    const path = `${prefix}${name}`;
    const type = typeOf(value);
    return type === 'object' ? fieldsOf(value as Document, `${path}.`) : [[path, type]];
  });
}

const BSON_NAMES: Readonly<Record<string, string>> = {
  Int32: 'int',
  Long: 'long',
  Double: 'double',
  Decimal128: 'decimal',
  Binary: 'binData',
  UUID: 'binData',
  ObjectId: 'objectId',
  Timestamp: 'timestamp',
};

function typeOf(value: unknown): string {
  if (value === null || value === undefined) return 'null';
  if (typeof value === 'string') return 'string';
  if (typeof value === 'boolean') return 'bool';
  if (value instanceof Date) return 'date';
  if (Array.isArray(value)) return 'array';
  const bson = (value as { _bsontype?: string })._bsontype;
  return bson === undefined ? 'object' : (BSON_NAMES[bson] ?? bson);
}
