/**
 * Values to and from PostgreSQL's text, without loss and whatever the session's
 * time zone, date style and float digits are.
 */
import type { ColumnType, Value } from '../../../kernel/remodel/index.ts';

/** SQL that gives a column's value as text in the form that `fromText` reads. */
export function readExpression(column: string, type: ColumnType, sqlType: string): string {
  switch (type) {
    case 'float':
      return `encode(float8send(${column}::float8), 'hex')`;
    case 'bytes':
      return `encode(${column}, 'hex')`;
    case 'timestamp': {
      const utc = hasZone(sqlType) ? `(${column} at time zone 'UTC')` : column;
      return `case when isfinite(${column}) then ${iso(utc)} else ${column}::text end`;
    }
    case 'date':
      return `case when isfinite(${column}) then ${iso(column)} else ${column}::text end`;
    default:
      return `${column}::text`;
  }
}

/** ISO 8601 whatever the session's date style is: JSON's form without its quotes. */
function iso(value: string): string {
  return `btrim(to_json(${value})::text, '"')`;
}

/**
 * SQL to tell values of a column apart, exactly: the value where its type's
 * equality is (as bytes where a collation may say otherwise), its text where it
 * is not: 1.0 = 1.00, -0 = 0, and json has none.
 */
export function distinctExpression(column: string, type: ColumnType, sqlType: string): string {
  switch (type) {
    case 'integer':
    case 'bigint':
    case 'boolean':
    case 'uuid':
    case 'date':
    case 'timestamp':
    case 'bytes':
      return column;
    case 'text':
      return /^(text|character varying)$/.test(sqlType) ? `${column} collate "C"` : `${column}::text`;
    default:
      return readExpression(column, type, sqlType);
  }
}

/** SQL that turns a text parameter, as `toText` makes it, into a value of the column. */
export function writeExpression(param: string, type: ColumnType, sqlType: string): string {
  if (type === 'bytes') return `decode(${param}::text, 'hex')`;
  if (type === 'float') return `${param}::text::float8::${sqlType}`;
  return `${param}::text::${sqlType}`;
}

export function fromText(text: string | null, type: ColumnType): Value {
  if (text === null) return null;
  switch (type) {
    case 'integer':
      return Number(text);
    case 'bigint':
      return BigInt(text);
    case 'boolean':
      return text === 'true' || text === 't';
    case 'float':
      return Buffer.from(text, 'hex').readDoubleBE(0);
    case 'bytes':
      return new Uint8Array(Buffer.from(text, 'hex'));
    case 'timestamp':
      return /^-?infinity$/.test(text) ? text : text.endsWith(' BC') ? `${text.slice(0, -3)}Z BC` : `${text}Z`;
    default:
      return text;
  }
}

export function toText(value: Value, type: ColumnType, sqlType: string): string | null {
  if (value === null) return null;
  if (type === 'bytes') return Buffer.from(value as Uint8Array).toString('hex');
  if (type === 'float') return Object.is(value, -0) ? '-0' : String(value);
  // A column without a zone would turn the moment by the session's zone; its clock is UTC by definition here.
  if (type === 'timestamp' && !hasZone(sqlType)) return (value as string).replace('Z', '');
  return String(value);
}

function hasZone(sqlType: string): boolean {
  return sqlType.includes('with time zone');
}
