/** The element types of BSON, by the byte that stands for them (bsonspec.org, version 1.1). */
export const BSON_TYPE = {
  double: 0x01,
  string: 0x02,
  object: 0x03,
  array: 0x04,
  binary: 0x05,
  /** Deprecated, and still found in old data. */
  undefined: 0x06,
  objectId: 0x07,
  bool: 0x08,
  date: 0x09,
  null: 0x0a,
  regex: 0x0b,
  /** Deprecated. */
  dbPointer: 0x0c,
  code: 0x0d,
  /** Deprecated. */
  symbol: 0x0e,
  /** Deprecated. */
  codeWithScope: 0x0f,
  int32: 0x10,
  timestamp: 0x11,
  int64: 0x12,
  decimal128: 0x13,
  maxKey: 0x7f,
  minKey: 0xff,
} as const;
