import { mistyped } from './mistyped.ts';

/** JSON as it is written: numbers as their text, objects as their fields in order. */
export type Json =
  | { readonly kind: 'number'; readonly text: string }
  | { readonly kind: 'object'; readonly fields: readonly (readonly [string, Json])[] }
  | readonly Json[]
  | string
  | boolean
  | null;

const TOKEN =
  /[ \t\r\n]*(?:([{}[\],:])|("(?:[^"\\\p{Cc}]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})|\x7f|[\x80-\x9f])*")|(-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?)|(true|false|null))/uy;
const DEEPEST = 100;

/**
 * Reads JSON and keeps what `JSON.parse` loses: the digits of numbers, and the
 * order of fields whose names are numbers.
 * @throws GodwitError GW5006 when it is no JSON, or deeper than a document may be.
 */
export function readJson(text: string): Json {
  const scanner = new Scanner(text);
  const value = scanner.value(0);
  scanner.end();
  return value;
}

class Scanner {
  readonly #text: string;
  #at = 0;
  #token = '';

  constructor(text: string) {
    this.#text = text;
    this.#next();
  }

  value(depth: number): Json {
    if (depth > DEEPEST) throw mistyped('JSON nested deeper than a document may be');
    const token = this.#token;
    if (token === '{') return this.#object(depth);
    if (token === '[') return this.#array(depth);
    this.#next();
    if (token.startsWith('"')) return JSON.parse(token) as string;
    if (token === 'true' || token === 'false') return token === 'true';
    if (token === 'null') return null;
    if (!/^[-\d]/.test(token)) throw broken();
    return { kind: 'number', text: token };
  }

  end(): void {
    if (this.#token !== '') throw broken();
  }

  #object(depth: number): Json {
    const fields: [string, Json][] = [];
    this.#next();
    while (this.#token !== '}') {
      if (fields.length > 0) this.#take(',');
      const name = this.#token;
      if (!name.startsWith('"')) throw broken();
      this.#next();
      this.#take(':');
      fields.push([JSON.parse(name) as string, this.value(depth + 1)]);
    }
    this.#next();
    return { kind: 'object', fields };
  }

  #array(depth: number): Json {
    const items: Json[] = [];
    this.#next();
    while (this.#token !== ']') {
      if (items.length > 0) this.#take(',');
      items.push(this.value(depth + 1));
    }
    this.#next();
    return items;
  }

  #take(token: string): void {
    if (this.#token !== token) throw broken();
    this.#next();
  }

  #next(): void {
    TOKEN.lastIndex = this.#at;
    const found = TOKEN.exec(this.#text);
    if (found === null) {
      if (this.#text.slice(this.#at).trim() !== '') throw broken();
      this.#token = '';
      this.#at = this.#text.length;
      return;
    }
    this.#at = TOKEN.lastIndex;
    this.#token = (found[1] ?? found[2] ?? found[3] ?? found[4]) as string;
  }
}

function broken(): Error {
  return mistyped('a json value that is no JSON');
}
