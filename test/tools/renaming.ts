interface Name {
  readonly db: string;
  readonly collection: string;
}

const BUCKETS = 'system.buckets.';

/** Renames in both directions: where a source namespace goes, and where a target namespace comes from. */
export function renaming(pairs: readonly string[]): {
  target: (db: string, collection: string) => Name;
  /** Undefined where nothing of the source goes: its own name was given away. */
  origin: (db: string, collection: string) => Name | undefined;
} {
  const forth = new Map<string, string>();
  const back = new Map<string, string>();
  for (const pair of pairs) {
    const [from = '', to = ''] = pair.split('=');
    forth.set(from, to);
    back.set(to, from);
  }
  const target = (db: string, collection: string): Name => through(forth, db, collection);
  return {
    target,
    origin: (db, collection) => {
      const name = through(back, db, collection);
      const there = target(name.db, name.collection);
      return there.db === db && there.collection === collection ? name : undefined;
    },
  };
}

function through(map: ReadonlyMap<string, string>, db: string, collection: string): Name {
  const prefix = collection.startsWith(BUCKETS) ? BUCKETS : '';
  const exact = map.get(`${db}.${collection.slice(prefix.length)}`);
  if (exact === undefined) return { db: map.get(db) ?? db, collection };
  const dot = exact.indexOf('.');
  return { db: exact.slice(0, dot), collection: prefix + exact.slice(dot + 1) };
}
