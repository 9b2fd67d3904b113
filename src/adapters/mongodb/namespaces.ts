import { GodwitError } from '../../kernel/errors.ts';

/**
 * Which namespaces a run moves, and under which names. A namespace is
 * `db.collection`; the first dot separates the two.
 */
export interface Selection {
  includes(db: string, collection: string): boolean;
  /** Whether any collection of the database may be chosen. */
  touchesDatabase(db: string): boolean;
  /** Whether the whole database moves, whatever its collections are called. */
  wholeDatabase(db: string): boolean;
  /** Target names of a source namespace. */
  target(db: string, collection: string): { db: string; collection: string };
  /** Whether a namespace of the target is the place of a chosen one: others there are not ours to judge or to touch. */
  ownsTarget(db: string, collection: string): boolean;
  /** Regular expressions (server dialect) that match every chosen namespace, and the commands of its databases. */
  readonly namespacePattern: string;
  readonly commandPattern: string;
}

const SYSTEM_DATABASES = new Set(['admin', 'config', 'local']);
const BUCKETS = 'system.buckets.';

interface Pattern {
  readonly db: string;
  readonly collection: string;
}

/** Splits `db.collection`; a missing collection means all of them. */
function parsePattern(text: string): Pattern {
  const dot = text.indexOf('.');
  if (text === '' || dot === 0) throw new GodwitError('GW1001', `Namespace pattern "${text}" has no database`);
  if (dot < 0) return { db: text, collection: '*' };
  return { db: text.slice(0, dot), collection: text.slice(dot + 1) };
}

/** Means the same to JavaScript and to the server: there, a dot leaves out line ends, which names may hold. */
function globSource(glob: string, oneName: boolean): string {
  let out = '';
  for (const char of glob) {
    if (char === '*') out += oneName ? '[^.]*' : '[\\s\\S]*';
    else if (char === '?') out += oneName ? '[^.]' : '[\\s\\S]';
    else out += char.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&');
  }
  return out;
}

interface CompiledPattern {
  readonly db: RegExp;
  readonly dbSource: string;
  readonly collection: RegExp;
  readonly collectionSource: string;
  readonly all: boolean;
}

function compile(pattern: Pattern): CompiledPattern {
  const dbSource = globSource(pattern.db, true);
  const collectionSource = globSource(pattern.collection, false);
  return {
    // `u`: one `?` is one character, as the server counts, and not half of one.
    db: new RegExp(`^${dbSource}$`, 'u'),
    dbSource,
    collection: new RegExp(`^${collectionSource}$`, 'u'),
    collectionSource,
    all: pattern.collection === '*',
  };
}

/** A time series is chosen by its own name; its data lives in a bucket collection named after it. */
function plainName(collection: string): string {
  return collection.startsWith(BUCKETS) ? collection.slice(BUCKETS.length) : collection;
}

/** Collections inside a database that belong to the server, not to the business. */
function isInternal(collection: string): boolean {
  return collection.startsWith('system.') && !collection.startsWith(BUCKETS) && collection !== 'system.js';
}

/** Builds the selection of `--include`, `--exclude` and `--rename`. Throws GW1001. */
export function makeSelection(
  include: readonly string[],
  exclude: readonly string[],
  rename: readonly string[],
): Selection {
  const includes = include.map((text) => compile(parsePattern(text)));
  const excludes = exclude.map((text) => compile(parsePattern(text)));
  const renames = makeRenames(rename);

  const matches = (patterns: readonly CompiledPattern[], db: string, name: string) =>
    patterns.some((p) => p.db.test(db) && p.collection.test(name));

  const includesCollection = (db: string, collection: string) => {
    if (SYSTEM_DATABASES.has(db) || db === '' || isInternal(collection)) return false;
    const name = plainName(collection);
    if (includes.length > 0 && !matches(includes, db, name)) return false;
    return !matches(excludes, db, name);
  };

  const namespaceSources =
    includes.length === 0
      ? ['(?!(?:admin|config|local)\\.)[^.]+\\.[\\s\\S]*']
      : includes.flatMap((p) => [
          `${p.dbSource}\\.${p.collectionSource}`,
          `${p.dbSource}\\.system\\.buckets\\.${p.collectionSource}`,
          `${p.dbSource}\\.system\\.views`,
          // $out, mapReduce and collMod work through temporary names in the same database.
          `${p.dbSource}\\.tmp[\\s\\S]*`,
        ]);
  const databaseSources =
    includes.length === 0 ? ['(?!(?:admin|config|local)\\.)[^.]+'] : includes.map((p) => p.dbSource);

  return {
    includes: includesCollection,
    touchesDatabase: (db) =>
      !SYSTEM_DATABASES.has(db) && db !== '' && (includes.length === 0 || includes.some((p) => p.db.test(db))),
    wholeDatabase: (db) =>
      !SYSTEM_DATABASES.has(db) &&
      db !== '' &&
      (includes.length === 0 || includes.some((p) => p.all && p.db.test(db))) &&
      !excludes.some((p) => p.db.test(db)),
    target: renames.target,
    ownsTarget: (db, collection) =>
      renames.origins(db, collection).some((origin) => {
        const place = renames.target(origin.db, origin.collection);
        return includesCollection(origin.db, origin.collection) && place.db === db && place.collection === collection;
      }),
    namespacePattern: `^(?:${[...new Set(namespaceSources)].join('|')})$`,
    commandPattern: `^(?:${[...new Set(databaseSources)].join('|')})\\.\\$cmd$`,
  };
}

interface Name {
  readonly db: string;
  readonly collection: string;
}

interface Renames {
  target(db: string, collection: string): Name;
  /** Source namespaces that may have this place at the target. */
  origins(db: string, collection: string): Name[];
}

function makeRenames(rename: readonly string[]): Renames {
  const databases = new Map<string, string>();
  const collections = new Map<string, { db: string; collection: string }>();
  for (const text of rename) {
    const [from, to, ...rest] = text.split('=');
    if (!from || !to || rest.length > 0)
      throw new GodwitError('GW1001', `--rename "${text}" is not of the form from=to`);
    const source = parsePattern(from);
    const target = parsePattern(to);
    if (from.includes('.') !== to.includes('.')) {
      throw new GodwitError('GW1001', `--rename "${text}" names a database on one side and a collection on the other`);
    }
    if (from.includes('.')) collections.set(from, { db: target.db, collection: target.collection });
    else databases.set(source.db, target.db);
  }
  return {
    target: (db, collection) => {
      const plain = plainName(collection);
      const exact = collections.get(`${db}.${plain}`);
      if (exact) {
        return { db: exact.db, collection: plain === collection ? exact.collection : BUCKETS + exact.collection };
      }
      return { db: databases.get(db) ?? db, collection };
    },
    origins: (db, collection) => {
      const plain = plainName(collection);
      const bucket = plain === collection ? '' : BUCKETS;
      const origins: Name[] = [{ db, collection }];
      for (const [from, to] of databases) if (to === db) origins.push({ db: from, collection });
      for (const [from, to] of collections) {
        if (to.db !== db || to.collection !== plain) continue;
        const origin = parsePattern(from);
        origins.push({ db: origin.db, collection: bucket + origin.collection });
      }
      return origins;
    },
  };
}
