/** Where a kind of trace event holds what, as the kernel itself describes it. */
export interface TraceFormat {
  readonly id: number;
  /** Where each field begins. */
  readonly offsets: ReadonlyMap<string, number>;
}

/** Undefined for what is no description. Of fields that name an inode only those are known that have eight bytes. */
export function parseTraceFormat(text: string): TraceFormat | undefined {
  const id = /^ID:\s*(\d+)/m.exec(text)?.[1];
  if (id === undefined) return undefined;
  const offsets = new Map<string, number>();
  for (const [, name, offset, size] of text.matchAll(/field:[^;]*?\b(\w+)(?:\[\d+\])?;\s*offset:(\d+);\s*size:(\d+);/g))
    if (name !== undefined && (size === '8' || !/ino$/.test(name))) offsets.set(name, Number(offset));
  return { id: Number(id), offsets };
}
