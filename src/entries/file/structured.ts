import { type Document, isAlias, isMap, isScalar, isSeq, type Node, parseAllDocuments, type Scalar } from 'yaml';
import { GodwitError } from '../../kernel/errors.ts';
import type { Token } from './token.ts';

/** Plain YAML text that needs no quotes wherever it stands. */
const SAFE_PLAIN = /^[A-Za-z][\w:/@.?=&%+~-]*[\w/]$/;

/**
 * Finds a string value in YAML by its path. The parser tells where the value
 * stands, and only that place is rewritten: printing the document again would
 * change quotes, folds and blank lines of others.
 */
export function locateYaml(text: string, key: string): Token | undefined {
  return locate(text, key, 'YAML', encodeYaml);
}

/** The same for JSON, which is YAML to the parser once it is known to be JSON. */
export function locateJson(text: string, key: string): Token | undefined {
  try {
    JSON.parse(text);
  } catch (cause) {
    throw new GodwitError('GW1001', `It is not valid JSON: ${(cause as Error).message}`, { cause });
  }
  return locate(text, key, 'JSON', (_, value) => JSON.stringify(value));
}

function locate(
  text: string,
  key: string,
  format: string,
  encode: (node: Scalar, value: string) => string,
): Token | undefined {
  const documents = parseAllDocuments(text, { keepSourceTokens: true, logLevel: 'silent' });
  const found: Node[] = [];
  for (const document of documents as Document.Parsed[]) {
    const error = document.errors[0];
    if (error)
      throw new GodwitError('GW1001', `It is not valid ${format}: ${error.message.split('\n')[0]}`, { cause: error });
    const node = follow(document.contents, key);
    if (node) found.push(node);
  }
  if (found.length > 1)
    throw new GodwitError(
      'GW1001',
      `${key} stands in ${found.length} documents of it; which one is meant cannot be said`,
    );
  const node = found[0];
  if (!node) return undefined;
  if (isAlias(node))
    throw new GodwitError('GW1001', `${key} is an alias (*${node.source}); name the key where the value itself stands`);
  if (!isScalar(node) || typeof node.value !== 'string' || !node.range) {
    throw new GodwitError('GW1001', `${key} does not hold a string`);
  }
  if (node.type === 'BLOCK_LITERAL' || node.type === 'BLOCK_FOLDED') {
    throw new GodwitError('GW1001', `The value of ${key} is a block of lines; write it in one line`);
  }
  const [start, end] = node.range;
  return { start, end, raw: text.slice(start, end), value: node.value, encode: (value) => encode(node, value) };
}

/** Walks `a.b.0.c`; names that hold dots themselves are tried too, longest first. */
function follow(node: Node | null, path: string): Node | undefined {
  if (node === null || path === '') return node ?? undefined;
  const names = path.split('.');
  for (let take = names.length; take > 0; take -= 1) {
    const name = names.slice(0, take).join('.');
    const rest = names.slice(take).join('.');
    const child = childOf(node, name);
    const found = child && follow(child, rest);
    if (found) return found;
  }
  return undefined;
}

function childOf(node: Node, name: string): Node | undefined {
  if (isSeq(node)) return /^\d+$/.test(name) ? (node.items[Number(name)] as Node | undefined) : undefined;
  if (!isMap(node)) return undefined;
  const pair = node.items.find(({ key }) => isScalar(key) && String(key.value) === name);
  return (pair?.value as Node | null | undefined) ?? undefined;
}

function encodeYaml(node: Scalar, value: string): string {
  if (node.type === 'PLAIN' && SAFE_PLAIN.test(value)) return value;
  const printable = /^[\x20-\x7e]*$/.test(value);
  if (node.type !== 'QUOTE_DOUBLE' && printable) return `'${value.replaceAll("'", "''")}'`;
  return JSON.stringify(value);
}
