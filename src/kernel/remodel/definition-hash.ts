import { createHash } from 'node:crypto';
import type { Model, Table } from './model.ts';

/**
 * Tells definitions apart: SHA-256, hexadecimal, of everything that decides
 * where a value goes: tables, columns, types, key, policy and the source text
 * of `up`, `down` and `choose`. What these call outside of themselves is not
 * seen. The text is taken without what compilers differ in (blanks, comments,
 * quotes, semicolons), so that one definition has one hash under every one.
 */
export function definitionHash(model: Model & { readonly definition?: unknown }): string {
  const functions = (model.definition ?? {}) as { readonly up?: unknown; readonly down?: unknown };
  const { inverse } = model;
  const parts = {
    name: model.name,
    key: model.key,
    from: describe(model.from),
    to: Object.entries(model.to)
      .map(([as, table]) => [as, describe(table)])
      .sort(),
    inverse: [inverse.policy, inverse.list ?? null, 'column' in inverse ? inverse.column : null],
    choose: 'choose' in inverse ? essence(String(inverse.choose)) : null,
    up: essence(String(functions.up)),
    down: essence(String(functions.down)),
    sql: Object.entries(model.sql?.up ?? {}).sort(),
  };
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex');
}

function describe(table: Table): unknown {
  const columns = Object.entries(table.columns)
    .map(([property, column]) => [property, column.type, column.isNullable, column.storedAs ?? null])
    .sort();
  return [table.store, table.name, table.isMany, table.id ?? null, columns];
}

/** A string literal, a template literal, a comment, or blanks. */
const PIECES =
  /'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*"|`(?:[^`\\]|\\[\s\S])*`|\/\/[^\n]*|\/\*[\s\S]*?\*\/|\s+|[^'"`/\s]+|\//g;

/**
 * Source text without what compilers write differently. Literals are kept to
 * the byte, as hexadecimal, so that what follows does not touch them.
 */
function essence(source: string): string {
  let code = '';
  for (const piece of source.match(PIECES) ?? []) {
    if (/^(?:\s|\/\/|\/\*)/.test(piece)) code += keepsWordsApart(code) ? ' ' : '';
    else if (/^['"`]/.test(piece)) code += literal(piece);
    else code += piece.replaceAll(';', '');
  }
  return code
    .replace(/ (?=[^\w$])|(?<=[^\w$]) /g, '')
    .replace(/,(?=[)\]}])/g, '')
    .replace(/(?<![\w$])([A-Za-z_$][\w$]*)=>/g, '($1)=>')
    .trim();
}

/** Single and double quotes are one; a template is another. */
function literal(piece: string): string {
  const text = piece.slice(1, -1).replace(/\\(['"])/g, '$1');
  const quote = piece.startsWith('`') ? '`' : '"';
  return quote + Buffer.from(text).toString('hex') + quote;
}

function keepsWordsApart(code: string): boolean {
  return /[\w$]$/.test(code);
}
