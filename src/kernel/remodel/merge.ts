import type { Row } from './column.ts';
import type { Model, State, Table } from './model.ts';
import { valueText } from './row-text.ts';

/**
 * Brings a write of the old table that went past the library into the new
 * rows: what it changed between `before` and `after` is changed in `state`,
 * and whatever else the new model has become meanwhile stays. Where both
 * changed the same column, the write past the library wins, as if it came
 * last; a row or an identity that was deleted in the new model stays deleted.
 *
 * `before`, `after`: the old row, undefined for none. `state`: undefined for
 * deleted; so is the result. Pure. Throws what `up` throws.
 */
export function mergePast(
  model: Model,
  state: State | undefined,
  before: Row | undefined,
  after: Row | undefined,
): State | undefined {
  if (after === undefined) return before === undefined ? state : undefined;
  const theirs = model.up(after);
  if (state === undefined) return before === undefined ? theirs : undefined;
  const base = before === undefined ? {} : model.up(before);
  return Object.fromEntries(
    Object.entries(model.to).map(([as, table]) => {
      const rows = { base: base[as] ?? [], theirs: theirs[as] ?? [], ours: state[as] ?? [] };
      return [as, table.isMany ? mergeList(model, as, table, rows) : mergeRoot(table, rows)];
    }),
  );
}

interface Rows {
  readonly base: readonly Row[];
  readonly theirs: readonly Row[];
  readonly ours: readonly Row[];
}

function mergeRoot(table: Table, { base, theirs, ours }: Rows): readonly Row[] {
  return [{ ...ours[0], ...changed(table, base[0], theirs[0] as Row) }];
}

function mergeList(model: Model, as: string, table: Table, { base, theirs, ours }: Rows): readonly Row[] {
  const id = table.id as string;
  const idOf = (row: Row) => valueText(row[id]);
  const merged = [...ours];
  const places = base.map((row, slot) => placeOf(model, as, table, ours, row, slot));
  const removed = new Set<number>();
  for (const [slot, row] of base.entries()) {
    const place = places[slot] ?? -1;
    const now = theirs.find((each) => idOf(each) === idOf(row));
    if (place < 0) continue;
    if (now === undefined) removed.add(place);
    else merged[place] = { ...(merged[place] as Row), ...changed(table, row, now) };
  }
  const known = new Set(base.map(idOf));
  for (const row of theirs.filter((each) => !known.has(idOf(each)))) {
    const place = merged.findIndex((each) => idOf(each) === idOf(row));
    if (place < 0) merged.push(row);
    else merged[place] = row;
  }
  return merged.filter((_, place) => !removed.has(place));
}

/**
 * Which of our rows a row of `up` stands for: the one with its id; or with its
 * content, because the old model keeps no ids; or the one that the old table shows.
 */
function placeOf(model: Model, as: string, table: Table, ours: readonly Row[], row: Row, slot: number): number {
  const id = table.id as string;
  const byId = ours.findIndex((each) => valueText(each[id]) === valueText(row[id]));
  if (byId >= 0) return byId;
  const content = (each: Row) => JSON.stringify(contentOf(table).map((property) => valueText(each[property])));
  const byContent = ours.findIndex((each) => content(each) === content(row));
  if (byContent >= 0) return byContent;
  const { inverse } = model;
  if (slot > 0 || as !== (inverse.list ?? model.lists[0])) return -1;
  return ours.length > 1 && inverse.policy !== 'block' ? ours.indexOf(inverse.choose(ours)) : ours.length - 1;
}

function contentOf(table: Table): readonly string[] {
  return Object.keys(table.columns).filter((property) => property !== table.id);
}

/** Columns that differ, as they are in `after`; the id of a row never changes. */
function changed(table: Table, before: Row | undefined, after: Row): Row {
  const differs = (property: string) =>
    before === undefined || valueText(before[property]) !== valueText(after[property]);
  return Object.fromEntries(
    contentOf(table)
      .filter(differs)
      .map((property) => [property, after[property] ?? null]),
  );
}
