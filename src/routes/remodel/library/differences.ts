import { isDeepStrictEqual } from 'node:util';

const MOST = 20;

/**
 * Where two answers differ, as paths (`subscriptions.0.plan`), at most 20; the
 * empty path is the whole. Plain objects and arrays are looked into; properties
 * in `ignore` are left out, and one that is undefined is one that is not there.
 */
export function differences(a: unknown, b: unknown, ignore: readonly string[] = []): string[] {
  const paths: string[] = [];
  walk(a, b, new Set(ignore), '', paths);
  return paths;
}

function walk(a: unknown, b: unknown, ignore: ReadonlySet<string>, path: string, paths: string[]): void {
  if (paths.length >= MOST || Object.is(a, b)) return;
  if (!isOpen(a) || !isOpen(b) || Array.isArray(a) !== Array.isArray(b)) {
    if (!isDeepStrictEqual(a, b)) paths.push(path);
    return;
  }
  for (const property of new Set([...Object.keys(a), ...Object.keys(b)])) {
    if (!ignore.has(property)) walk(a[property], b[property], ignore, path ? `${path}.${property}` : property, paths);
  }
}

/** Whether its properties are compared one by one: instances of classes are compared as wholes. */
function isOpen(value: unknown): value is Record<string, unknown> {
  if (typeof value !== 'object' || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return Array.isArray(value) || prototype === Object.prototype || prototype === null;
}
