import { GodwitError } from '../../../kernel/errors.ts';

/** What a value is not. Names no value: it may be anything. */
export function mistyped(what: string): GodwitError {
  return new GodwitError('GW5006', what);
}

const NAMES: Readonly<Record<number, string>> = {
  1: 'double',
  2: 'string',
  3: 'document',
  4: 'array',
  5: 'binary',
  6: 'undefined',
  7: 'ObjectId',
  8: 'boolean',
  9: 'date',
  10: 'null',
  11: 'regular expression',
  12: 'dbPointer',
  13: 'code',
  14: 'symbol',
  15: 'code with scope',
  16: '32-bit integer',
  17: 'timestamp',
  18: '64-bit integer',
  19: 'decimal',
  127: 'maxKey',
  255: 'minKey',
};

export function bsonTypeName(type: number): string {
  return NAMES[type] ?? `type ${type}`;
}
