import { type BytePath, toText } from '../libc/bytes.ts';
import type { Listed } from './list.ts';

/** One name that is not the same on both sides. */
export interface Difference {
  readonly mapping: number;
  readonly path: BytePath;
  readonly kind: 'missing' | 'extra' | 'differs';
  /** Names of the fields that differ, each with both values. */
  readonly fields: readonly string[];
}

/** Merges both sides, which come in the order of the walk. */
export async function* differencesOf(
  source: Iterator<Listed> | AsyncIterator<Listed>,
  target: Iterator<Listed> | AsyncIterator<Listed>,
): AsyncGenerator<Difference, void, void> {
  let [a, b] = [await source.next(), await target.next()];
  while (!a.done || !b.done) {
    const [left, right] = [a.done ? undefined : a.value, b.done ? undefined : b.value];
    if (left !== undefined && right !== undefined && left.key === right.key) {
      if (left.line !== right.line)
        yield { mapping: left.mapping, path: left.path, kind: 'differs', fields: fieldsOf(left.line, right.line) };
      a = await source.next();
      b = await target.next();
    } else if (right === undefined || (left !== undefined && left.key < right.key)) {
      yield { mapping: (left as Listed).mapping, path: (left as Listed).path, kind: 'missing', fields: [] };
      a = await source.next();
    } else {
      yield { mapping: right.mapping, path: right.path, kind: 'extra', fields: [] };
      b = await target.next();
    }
  }
}

function fieldsOf(a: string, b: string): string[] {
  const split = (line: string) =>
    new Map(line.split(' ').map((field) => [field.slice(0, field.indexOf('=')), field.slice(field.indexOf('=') + 1)]));
  const [left, right] = [split(a), split(b)];
  return [...new Set([...left.keys(), ...right.keys()])]
    .filter((name) => left.get(name) !== right.get(name))
    .map((name) => `${name}: ${left.get(name) ?? 'none'} → ${right.get(name) ?? 'none'}`);
}

/** For people. */
export function differenceText({ path, kind, fields }: Difference): string {
  const name = path === '' ? '.' : toText(path);
  if (kind === 'missing') return `${name} is not on the target`;
  if (kind === 'extra') return `${name} is on the target only`;
  return `${name} differs: ${fields.join('; ')}`;
}
