import { GodwitError } from '../../../kernel/errors.ts';
import { BSON_TYPE as T } from '../bson/types.ts';
import { walk } from '../bson/walk.ts';
import { fieldOf, type Place } from './paths.ts';
import type { Changes, Field } from './table-documents.ts';

/** Columns by the fields on their paths: a leaf is a column, anything else an embedded document. */
export interface PathNode {
  readonly children: Map<string, PathNode>;
  field: Field | undefined;
}

/** @throws GodwitError GW1006 for a path that MongoDB does not take, or that lies inside another column. */
export function pathTree(remodel: string, fields: readonly Field[]): PathNode {
  const root: PathNode = { children: new Map(), field: undefined };
  const wrong = (what: string) => new GodwitError('GW1006', `Remodel ${remodel}: ${what}`);
  for (const field of fields) {
    if (!field.segments.every((segment) => /^[^$\0][^\0]*$/.test(segment)))
      throw wrong(`${field.path} is no path of fields`);
    let node = root;
    for (const segment of field.segments) {
      if (node.field !== undefined) throw wrong(`the column ${field.path} lies inside the column ${node.field.path}`);
      const next = node.children.get(segment) ?? { children: new Map(), field: undefined };
      node.children.set(segment, next);
      node = next;
    }
    if (node.field !== undefined || node.children.size > 0) throw wrong(`the column ${field.path} is not alone there`);
    node.field = field;
  }
  return root;
}

/** The values of columns as nested documents; parents of nothing are left out. */
export function nestedDocument(node: PathNode, values: ReadonlyMap<Field, unknown>): Map<string, unknown> {
  const out = new Map<string, unknown>();
  for (const [name, child] of node.children) {
    if (child.field !== undefined) {
      const value = values.get(child.field);
      if (value !== undefined) out.set(name, value);
      continue;
    }
    const inner = nestedDocument(child, values);
    if (inner.size > 0) out.set(name, inner);
  }
  return out;
}

interface Plan {
  readonly set: Record<string, unknown>;
  readonly unset: Record<string, ''>;
}

/**
 * The update that gives columns these values (undefined: none) in a stored
 * document. An embedded document goes with its last field, and comes with its
 * first, also where null stands in its place.
 */
export function planUpdate(root: PathNode, raw: Buffer, values: ReadonlyMap<Field, unknown>): Changes | undefined {
  const plan: Plan = { set: {}, unset: {} };
  visit(root, raw, 0, '', values, plan);
  const $set = Object.keys(plan.set).length > 0 ? { $set: plan.set } : {};
  const $unset = Object.keys(plan.unset).length > 0 ? { $unset: plan.unset } : {};
  return '$set' in $set || '$unset' in $unset ? { ...$set, ...$unset } : undefined;
}

/** Gives whether the document at `docStart` is left without any field. */
function visit(
  node: PathNode,
  raw: Buffer,
  docStart: number,
  prefix: string,
  values: ReadonlyMap<Field, unknown>,
  plan: Plan,
): boolean {
  const inner: Plan = { set: {}, unset: {} };
  let removed = 0;
  for (const [name, child] of node.children) {
    const path = `${prefix}${name}`;
    const place = fieldOf(raw, docStart, name);
    if (change(child, place, path, values, inner)) removed += 1;
  }
  const isEmptied = prefix !== '' && removed > 0 && removed === countFields(raw, docStart) && isEmpty(inner.set);
  if (!isEmptied) {
    Object.assign(plan.set, inner.set);
    Object.assign(plan.unset, inner.unset);
  }
  return isEmptied;
}

/** Plans one field. Gives whether it goes away. */
function change(
  node: PathNode,
  place: Place | undefined,
  path: string,
  values: ReadonlyMap<Field, unknown>,
  plan: Plan,
): boolean {
  if (node.field !== undefined) {
    if (!values.has(node.field)) return false;
    const value = values.get(node.field);
    if (value !== undefined) plan.set[path] = value;
    else if (place !== undefined) plan.unset[path] = '';
    return value === undefined && place !== undefined;
  }
  if (place === undefined || place.type === T.null) {
    const made = nestedDocument(node, values);
    if (made.size > 0) plan.set[path] = made;
    return false;
  }
  if (place.type !== T.object) {
    if (!touches(node, values)) return false;
    throw new GodwitError('GW5006', `the field ${path} is not a document`, { details: { field: path } });
  }
  const isEmptied = visit(node, place.buf, place.start, `${path}.`, values, plan);
  if (isEmptied) plan.unset[path] = '';
  return isEmptied;
}

function touches(node: PathNode, values: ReadonlyMap<Field, unknown>): boolean {
  if (node.field !== undefined) return values.has(node.field);
  return [...node.children.values()].some((child) => touches(child, values));
}

function isEmpty(record: Record<string, unknown>): boolean {
  return Object.keys(record).length === 0;
}

function countFields(raw: Buffer, docStart: number): number {
  let count = 0;
  walk(raw, docStart, () => {
    count += 1;
  });
  return count;
}
