import { onDemand } from 'bson';

/** One element of a raw BSON document. */
export interface RawElement {
  readonly type: number;
  readonly name: string;
  /** The value's bytes, without type and name. */
  readonly value: Buffer;
}

/** Elements of a raw document in their order, duplicates kept. Uses `bson`'s parser, none of Godwit's. */
export function elementsOf(doc: Buffer): RawElement[] {
  return [...onDemand.parseToElements(doc)].map(([type, nameOffset, nameLength, offset, length]) => ({
    type,
    name: doc.toString('utf8', nameOffset, nameOffset + nameLength),
    value: doc.subarray(offset, offset + length),
  }));
}

/** The element of that name, the first one if there are several. */
export function elementOf(doc: Buffer, name: string): RawElement | undefined {
  return elementsOf(doc).find((element) => element.name === name);
}

/** The documents inside a raw array or document value. */
export function documentsIn(value: Buffer): Buffer[] {
  return elementsOf(value).map((element) => element.value);
}

/** A value as one comparable text: its type and its bytes. */
export function fingerprint(element: RawElement | undefined): string {
  return element === undefined ? '(none)' : `${element.type.toString(16)}:${element.value.toString('hex')}`;
}
