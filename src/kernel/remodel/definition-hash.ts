import { createHash } from 'node:crypto';
import type { Model, Table } from './model.ts';

/**
 * Tells definitions apart: SHA-256, hexadecimal, of everything that decides
 * where a value goes: tables, columns, types, key, policy and the source text
 * of `up`, `down` and `choose`. What these call outside of themselves is not
 * seen. The text is taken without what compilers commonly differ in (blanks,
 * comments, quotes, semicolons, kept names), so that a definition has one hash
 * under tsc and esbuild. One that minifies names gives another: Godwit's
 * commands must then be given the built file.
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

/** A literal of text, a comment, a regular expression, blanks; or a run of anything else. */
const PIECES = new RegExp(
  [
    /'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*"|`(?:[^`\\]|\\[\s\S])*`/,
    /\/\/[^\n]*|\/\*[\s\S]*?\*\//,
    /(?<=(?:^|[(,=:[!&|?{};+*%~^<>-]|\breturn)\s*)\/(?:[^/\\\n[]|\\.|\[(?:[^\]\\\n]|\\.)*\])+\/[a-z]*/,
    /\s+|[^'"`/\s]+|\//,
  ]
    .map((each) => each.source)
    .join('|'),
  'g',
);

/**
 * Source text without what compilers write differently. Literals are kept to
 * the byte, as hexadecimal, so that what follows does not touch them.
 */
function essence(source: string): string {
  let code = '';
  for (const piece of source.match(PIECES) ?? []) {
    if (/^(?:\s|\/\/|\/\*)/.test(piece)) code += keepsWordsApart(code) ? ' ' : '';
    else if (/^(?:['"`]|\/.)/.test(piece)) code += literal(piece);
    else code += piece.replaceAll(';', ' ');
  }
  const tidy = withoutNames(code)
    .replace(/ +(?=[^\w$ ])|(?<=[^\w$]) +/g, '')
    .replace(/ +/g, ' ')
    .replace(/,(?=[)\]}])/g, '')
    .replace(/(?<![\w$])([A-Za-z_$][\w$]*)=>/g, '($1)=>');
  return withoutBodyBrackets(tidy).trim();
}

/** Single and double quotes are one; a template is another, and so is a regular expression. */
function literal(piece: string): string {
  const isQuoted = /^['"]/.test(piece);
  const text = isQuoted ? piece.slice(1, -1).replace(/\\(['"])/g, '$1') : piece;
  return `"${isQuoted ? '' : piece.charAt(0)}${Buffer.from(text).toString('hex')}"`;
}

/** Some compilers wrap inner functions to keep their names: `__name(f,"f")` is `f`. */
function withoutNames(code: string): string {
  const call = '__name(';
  const at = code.lastIndexOf(call);
  if (at < 0) return code;
  const { end, lastComma } = bracketAt(code, at + call.length - 1);
  return withoutNames(code.slice(0, at) + code.slice(at + call.length, lastComma) + code.slice(end));
}

/** `=>(a+b)` is `=>a+b`, where nothing of the same expression follows. */
function withoutBodyBrackets(code: string): string {
  let out = code;
  for (let at = out.indexOf('=>('); at >= 0; at = out.indexOf('=>(', at + 1)) {
    const { end, lastComma } = bracketAt(out, at + 2);
    const isWhole = end >= out.length || /[,)\]}]/.test(out.charAt(end));
    if (isWhole && lastComma < 0 && out.charAt(at + 3) !== '{')
      out = out.slice(0, at + 2) + out.slice(at + 3, end - 1) + out.slice(end);
  }
  return out;
}

/** Where the bracket that opens at `open` ends (the place after it), and its last comma outside of inner ones, or -1. */
function bracketAt(code: string, open: number): { readonly end: number; readonly lastComma: number } {
  let depth = 0;
  let lastComma = -1;
  for (let end = open; end < code.length; end++) {
    const char = code.charAt(end);
    if ('([{'.includes(char)) depth += 1;
    else if (')]}'.includes(char)) depth -= 1;
    else if (char === ',' && depth === 1) lastComma = end;
    if (depth === 0) return { end: end + 1, lastComma };
  }
  return { end: code.length, lastComma };
}

function keepsWordsApart(code: string): boolean {
  return /[\w$]$/.test(code);
}
