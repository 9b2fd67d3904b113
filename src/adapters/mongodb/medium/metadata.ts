import { serialize } from 'bson';
import { GodwitError } from '../../../kernel/errors.ts';
import { BSON_TYPE } from '../bson/types.ts';
import {
  type CollectionSpec,
  collectionSpec,
  EMPTY_DOCUMENT,
  isSecondary,
  readString,
  subDocument,
  type ViewSpec,
} from '../catalog.ts';
import { parseJson } from '../remodel/json-parse.ts';
import { jsonText } from '../remodel/json-write.ts';

const BUCKETS = 'system.buckets.';

/** What a `.metadata.json` says (mongodump/metadata_dump.go): options and indexes stay raw BSON. */
export interface Metadata {
  /** As it is called by people: a time series by its own name. */
  readonly name: string;
  readonly type: 'collection' | 'view' | 'timeseries';
  readonly options: Buffer;
  /** All of them, the one on `_id` too. */
  readonly indexes: readonly Buffer[];
  /** 32 hexadecimal digits; absent where the tool did not know it. */
  readonly uuid?: string;
}

/** The metadata of a collection, as mongodump writes them. Throws GW2105 when JSON cannot hold them. */
export function collectionMetadata(spec: CollectionSpec): string {
  const options = spec.series ?? spec.options;
  return metadataText({
    name: spec.series ? spec.name.slice(BUCKETS.length) : spec.name,
    type: spec.series ? 'timeseries' : 'collection',
    options,
    indexes: spec.clustered ? spec.indexes : [idIndex(options), ...spec.indexes],
    // The identity of a time series is that of its buckets, and mongodump does not tell it.
    ...(spec.series ? {} : { uuid: spec.uuid }),
  });
}

export function viewMetadata(view: ViewSpec): string {
  return metadataText({ name: view.name, type: 'view', options: view.options, indexes: [] });
}

/** The index on `_id` has the collation of its collection: nothing else would be allowed. */
function idIndex(options: Buffer): Buffer {
  const collation = subDocument(options, 'collation');
  const simple = collation === undefined || readString(collation, 'locale') === 'simple';
  const plain = { v: 2, key: { _id: 1 }, name: '_id_' };
  if (simple) return Buffer.from(serialize(plain));
  const head = Buffer.from(serialize(plain)).subarray(4, -1);
  const body = Buffer.concat([head, Buffer.from([BSON_TYPE.object]), Buffer.from('collation\0'), collation]);
  const out = Buffer.alloc(body.length + 5);
  out.writeInt32LE(out.length, 0);
  body.copy(out, 4);
  return out;
}

function metadataText(metadata: Metadata): string {
  const json = (doc: Buffer) => {
    try {
      return jsonText(BSON_TYPE.object, doc, 0, doc.length, true);
    } catch (error) {
      throw new GodwitError('GW2105', `The options or indexes of ${metadata.name} cannot be written as JSON`, {
        details: { collection: metadata.name },
        cause: error,
      });
    }
  };
  const fields = [
    ...(metadata.options.equals(EMPTY_DOCUMENT) ? [] : [`"options":${json(metadata.options)}`]),
    `"indexes":[${metadata.indexes.map(json).join(',')}]`,
    ...(metadata.uuid === undefined ? [] : [`"uuid":"${metadata.uuid}"`]),
    `"collectionName":${JSON.stringify(metadata.name)}`,
    `"type":"${metadata.type}"`,
  ];
  return `{${fields.join(',')}}`;
}

/** Reads metadata; `fallback` is the name by the file, for tools that do not write it inside. Throws GW2103. */
export function parseMetadata(text: string, file: string, fallback: string | undefined): Metadata {
  const foreign = (why: string, cause?: unknown) =>
    new GodwitError('GW2103', `${file} is no metadata of a collection: ${why}`, { details: { file }, cause });
  let parsed: unknown;
  try {
    parsed = parseJson(text);
  } catch (error) {
    throw foreign(error instanceof Error ? error.message : String(error), error);
  }
  if (!(parsed instanceof Map)) throw foreign('it is no JSON object');
  const name = parsed.get('collectionName') ?? fallback;
  if (typeof name !== 'string' || name === '') throw foreign('it does not say which collection it is of');
  const options = parsed.get('options') ?? new Map();
  const indexes = parsed.get('indexes') ?? [];
  if (!(options instanceof Map) || !Array.isArray(indexes)) throw foreign('its options or indexes have another form');
  const uuid = parsed.get('uuid');
  return {
    name,
    type: typeOf(parsed.get('type'), options),
    options: rawOf(options),
    indexes: indexes.map((index) => {
      if (!(index instanceof Map) || !(index.get('key') instanceof Map)) throw foreign('one of its indexes has no key');
      return rawOf(index);
    }),
    ...(typeof uuid === 'string' && /^[0-9a-f]{32}$/i.test(uuid) ? { uuid: uuid.toLowerCase() } : {}),
  };
}

/** Older tools do not write the type. */
function typeOf(type: unknown, options: Map<string, unknown>): Metadata['type'] {
  if (type === 'view' || options.has('viewOn')) return 'view';
  if (type === 'timeseries' || options.has('timeseries')) return 'timeseries';
  return 'collection';
}

function rawOf(document: Map<string, unknown>): Buffer {
  return Buffer.from(serialize(document));
}

/** The collection that metadata describe, under the name its data have. */
export function specOf(metadata: Metadata, db: string, uuid: string): CollectionSpec {
  const series = metadata.type === 'timeseries' ? metadata.options : undefined;
  return collectionSpec({
    uuid,
    db,
    name: series ? BUCKETS + metadata.name : metadata.name,
    options: metadata.options,
    indexes: metadata.indexes.filter(isSecondary),
    ...(series ? { series } : {}),
  });
}
