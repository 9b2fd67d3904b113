/**
 * The judge: says whether two clusters hold the same chosen namespaces, byte for byte. It shares no code
 * with Godwit, so that a mistake there cannot hide itself here.
 *
 * Compared: which collections and views exist, their type, every option (raw bytes), every index with every
 * field (raw bytes), every document (raw bytes), the natural order of capped collections, and the buckets
 * of time series as collections of their own.
 *
 * Left out, because it cannot or need not be the same: the UUID of a collection; `ns` in an index; the order of
 * the top-level fields of an index specification and the number type of `expireAfterSeconds` (collMod changes
 * both); `system.views` and `system.profile` (views are compared as views); record ids and the
 * natural order of collections that are not capped.
 *
 * The clusters must be quiet, TTL monitors included: this compares once and does not wait for anybody.
 */
import { MongoClient } from 'mongodb';
import { type CollectionFacts, readCatalog } from './cluster-catalog.ts';
import { compareById, compareInOrder } from './compare-documents.ts';
import { renaming } from './renaming.ts';

export interface CompareOptions {
  /** By the names of the source; a time series goes by its own name. */
  readonly include: (db: string, collection: string) => boolean;
  /** `db=db2` or `db.a=db2.b`, as the command line takes them. */
  readonly rename?: readonly string[];
  /** The indexes of the target that expire must be held, as while changes flow: that they never expire is demanded. */
  readonly heldExpiry?: boolean;
}

export interface Comparison {
  readonly equal: boolean;
  /** In words; at most `MOST_TOLD`, then how many more. */
  readonly differences: string[];
  /** Of the source. */
  readonly documents: number;
  readonly bytes: number;
}

const MOST_TOLD = 100;

/** Compares two clusters, or two sides of one. */
export async function compareClusters(
  sourceUri: string,
  targetUri: string,
  options: CompareOptions,
): Promise<Comparison> {
  const source = new MongoClient(sourceUri, { serverSelectionTimeoutMS: 30_000 });
  const target = new MongoClient(targetUri, { serverSelectionTimeoutMS: 30_000 });
  try {
    return await compare(source, target, options);
  } finally {
    await Promise.all([source.close(), target.close()]);
  }
}

async function compare(source: MongoClient, target: MongoClient, options: CompareOptions): Promise<Comparison> {
  const names = renaming(options.rename ?? []);
  const differences: string[] = [];
  let untold = 0;
  const report = (line: string): void => {
    if (differences.length < MOST_TOLD) differences.push(line);
    else untold += 1;
  };

  const [left, right] = await Promise.all([
    readCatalog(source, options.include),
    readCatalog(target, (db, collection) => {
      const origin = names.origin(db, collection);
      return origin !== undefined && options.include(origin.db, origin.collection);
    }),
  ]);
  let documents = 0;
  let bytes = 0;
  for (const [namespace, from] of left) {
    const name = names.target(from.db, from.name);
    const to = right.get(`${name.db}.${name.collection}`);
    right.delete(`${name.db}.${name.collection}`);
    if (to === undefined) {
      report(`${namespace}: is missing on the target`);
      continue;
    }
    compareFacts(options.heldExpiry ? held(from) : from, to, (line) => report(`${namespace}: ${line}`));
    if (from.isView || to.isView) continue;
    const [one, two] = [
      { client: source, db: from.db, collection: from.name },
      { client: target, db: to.db, collection: to.name },
    ];
    const compareDocuments = from.capped ? compareInOrder : compareById;
    const verdict = await compareDocuments(one, two, (line) => report(`${namespace}: ${line}`));
    documents += verdict.documents;
    bytes += verdict.bytes;
  }
  for (const [namespace, { facts }] of right) {
    report(
      `${namespace}: is only on the target (${[...facts]
        .map((fact) => fact.join(' '))
        .join(', ')
        .slice(0, 300)})`,
    );
  }
  const equal = differences.length === 0;
  if (untold > 0) differences.push(`and ${untold} more`);
  return { equal, differences, documents, bytes };
}

/** The same facts with every expiry of an index as it is while it is held. */
function held(collection: CollectionFacts): CollectionFacts {
  const facts = new Map(collection.facts);
  for (const fact of facts.keys()) if (/^index .*: expireAfterSeconds$/.test(fact)) facts.set(fact, '2147483647');
  return { ...collection, facts };
}

function compareFacts(from: CollectionFacts, to: CollectionFacts, report: (line: string) => void): void {
  for (const fact of new Set([...from.facts.keys(), ...to.facts.keys()])) {
    const [one, two] = [from.facts.get(fact) ?? '(none)', to.facts.get(fact) ?? '(none)'];
    if (one !== two) report(`${fact}: ${one.slice(0, 120)} on the source, ${two.slice(0, 120)} on the target`);
  }
  const order = (facts: CollectionFacts): string =>
    [...facts.facts.keys()].filter((key) => key.startsWith('option ')).join();
  if (order(from) !== order(to)) report(`options in another order: ${order(from)} and ${order(to)}`);
}
