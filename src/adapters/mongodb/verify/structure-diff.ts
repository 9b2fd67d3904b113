import type { Drift } from '../../../kernel/ports.ts';
import { walk } from '../bson/walk.ts';
import { type CollectionSpec, listDatabase, listIndexes, type ViewSpec } from '../catalog.ts';
import type { Selection } from '../namespaces.ts';
import { deferralOf, deferredIndex, indexName, splitIndexes } from '../structure.ts';
import type { WireConnection } from '../wire/connection.ts';
import { digestOf } from './digest.ts';

/** Says nothing about the data: identity and what each server decides by itself. */
const OWN_OPTIONS = new Set(['uuid', 'flags', 'temp', 'autoIndexId']);

/**
 * Compares collections, their options and indexes, and views. Before the
 * standstill uniqueness and expiry may still wait and views follow in their
 * own time; at it all must be there. When things expire never counts here:
 * that is given back last, after the last proof.
 */
export async function compareStructure(
  source: { collections: readonly CollectionSpec[]; views: readonly ViewSpec[] },
  target: WireConnection,
  selection: Selection,
  isStandstill: boolean,
): Promise<Drift[]> {
  const drift: Drift[] = [];
  const listings = new Map<string, Awaited<ReturnType<typeof listDatabase>>>();
  const listing = async (db: string) => {
    const known = listings.get(db) ?? (await listDatabase(target, db));
    listings.set(db, known);
    return known;
  };
  const expected = new Map<string, Set<string>>();
  for (const spec of source.collections) {
    const name = selection.target(spec.db, spec.name);
    expected.set(name.db, (expected.get(name.db) ?? new Set()).add(name.collection));
    const unit = `${spec.db}.${spec.name}`;
    const found = (await listing(name.db)).find((item) => item.name === name.collection && item.type === 'collection');
    if (!found) {
      drift.push({ unit, kind: 'structure', key: 'collection', note: 'the collection is missing at the target' });
      continue;
    }
    const isSeries = (await listing(name.db)).some(
      (item) => item.type === 'timeseries' && `system.buckets.${item.name}` === name.collection,
    );
    if (isSeries !== (spec.series !== undefined)) {
      drift.push({
        unit,
        kind: 'structure',
        key: 'time series',
        note: isSeries ? 'the source has the buckets without the series' : 'the series is missing at the target',
      });
    }
    for (const { option, note } of optionDifferences(spec.options, found.options))
      drift.push({ unit, kind: 'structure', key: `option ${option}`, note });
    drift.push(...(await compareIndexes(unit, spec, name, target, isStandstill)));
  }
  for (const view of isStandstill ? source.views : []) {
    const name = selection.target(view.db, view.name);
    expected.set(name.db, (expected.get(name.db) ?? new Set()).add(name.collection));
    const unit = `${view.db}.${view.name}`;
    const found = (await listing(name.db)).find((item) => item.name === name.collection && item.type === 'view');
    if (!found) drift.push({ unit, kind: 'structure', key: 'view', note: 'the view is missing at the target' });
    else if (!found.options.equals(view.options)) {
      drift.push({
        unit,
        kind: 'structure',
        key: 'view',
        sourceDigest: digestOf(view.options),
        targetDigest: digestOf(found.options),
      });
    }
  }
  for (const [db, names] of expected) {
    for (const item of await listing(db)) {
      // A time series is known by its buckets.
      const name = item.type === 'timeseries' ? `system.buckets.${item.name}` : item.name;
      if ((item.type === 'view' && !isStandstill) || names.has(name) || !selection.ownsTarget(db, name)) continue;
      drift.push({ unit: `${db}.${item.name}`, kind: 'structure', key: item.type, note: 'exists at the target only' });
    }
  }
  return drift;
}

/** Options in which a collection of the target is not what it should be. */
export function optionDifferences(source: Buffer, target: Buffer): { option: string; note: string }[] {
  const left = fields(source, OWN_OPTIONS);
  const right = fields(target, OWN_OPTIONS);
  const different: { option: string; note: string }[] = [];
  for (const option of new Set([...left.keys(), ...right.keys()])) {
    // A clustered or time series collection may have an expiry.
    if (option === 'expireAfterSeconds') continue;
    if (left.get(option) !== right.get(option))
      different.push({ option, note: sides(left.get(option), right.get(option)) });
  }
  return different;
}

async function compareIndexes(
  unit: string,
  spec: CollectionSpec,
  name: { db: string; collection: string },
  target: WireConnection,
  final: boolean,
): Promise<Drift[]> {
  const indexed = spec.series ? name.collection.replace(/^system\.buckets\./, '') : name.collection;
  const found = new Map((await listIndexes(target, name.db, indexed)).map((index) => [indexName(index), index]));
  const { now, later } = splitIndexes(spec.indexes);
  const drift: Drift[] = [];
  for (const index of final ? spec.indexes : now) {
    const other = found.get(indexName(index));
    found.delete(indexName(index));
    const key = `index ${indexName(index)}`;
    if (!other) {
      // Beside a plain one on the same keys it could not be made; the cutover makes it.
      if (!final && deferralOf(index).unique) continue;
      drift.push({ unit, kind: 'structure', key, note: 'missing at the target' });
      continue;
    }
    for (const { field, note } of indexDifferences(index, other, final)) {
      drift.push({ unit, kind: 'structure', key: `${key} ${field}`, note });
    }
  }
  if (!final) for (const index of later) found.delete(indexName(index));
  for (const extra of found.keys())
    drift.push({ unit, kind: 'structure', key: `index ${extra}`, note: 'exists at the target only' });
  return drift;
}

/**
 * Fields in which an index of the target is not what it should be.
 * @param final after the cutover's finish; before it unique and TTL are deferred
 */
export function indexDifferences(index: Buffer, other: Buffer, final: boolean): { field: string; note: string }[] {
  const deferral = deferralOf(index);
  const wanted = final || !(deferral.unique || deferral.ttl) ? index : deferredIndex(index);
  // An undone cutover leaves indexes unique; they may be either before the next one.
  const without = final ? INDEX_OWN : INDEX_OWN_AND_UNIQUE;
  const left = fields(wanted, without);
  const right = fields(other, without);
  const different: { field: string; note: string }[] = [];
  for (const field of new Set([...left.keys(), ...right.keys()])) {
    // Only that it is an expiring index counts, not when it expires.
    if (field === 'expireAfterSeconds' && left.has(field) && right.has(field)) continue;
    if (left.get(field) !== right.get(field)) different.push({ field, note: sides(left.get(field), right.get(field)) });
  }
  return different;
}

const INDEX_OWN = new Set(['ns', 'background']);
const INDEX_OWN_AND_UNIQUE = new Set([...INDEX_OWN, 'unique', 'prepareUnique']);
const NUMBERS = new Set([0x01, 0x10, 0x12]);

/** Fields by name; values as hexadecimal of type and bytes, numbers by value. */
function fields(doc: Buffer, without: ReadonlySet<string>): Map<string, string> {
  const out = new Map<string, string>();
  walk(doc, 0, (type, nameStart, nameEnd, valueStart, valueEnd) => {
    const name = doc.toString('utf8', nameStart, nameEnd);
    if (without.has(name)) return;
    out.set(
      name,
      NUMBERS.has(type)
        ? `number ${numberAt(doc, type, valueStart)}`
        : `${type} ${doc.toString('hex', valueStart, valueEnd)}`,
    );
  });
  return out;
}

function numberAt(doc: Buffer, type: number, at: number): string {
  if (type === 0x10) return String(doc.readInt32LE(at));
  return type === 0x12 ? String(doc.readBigInt64LE(at)) : String(doc.readDoubleLE(at));
}

function sides(left: string | undefined, right: string | undefined): string {
  if (left === undefined) return 'set at the target only';
  return right === undefined ? 'set at the source only' : 'not the same';
}
