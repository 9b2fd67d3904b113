/** docs/reference/traps-relocate.md: every trap once, and no test that does not exist. */
import { readdirSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';

const root = new URL('../../../', import.meta.url);
const table = readFileSync(new URL('docs/reference/traps-relocate.md', root), 'utf8');

const rows = table
  .split('\n')
  .filter((line) => /^\| \d+ \|/.test(line))
  .map((line) => {
    const [number, trap, meets, tests, result] = line
      .slice(1, -1)
      .split(/(?<!\\)\|/)
      .map((cell) => cell.trim()) as [string, string, string, string, string];
    return { number: Number(number), trap, meets, tests: named(tests), result };
  });

function named(cell: string): { file: string; title: string }[] {
  if (cell === '') return [];
  return cell.split('<br>').map((each) => {
    const [, name, title] = /^`([\w-]+)`: (.+)$/.exec(each) ?? [];
    if (name === undefined || title === undefined) throw new Error(`Not a test: ${each}`);
    return { file: `${name}.files.test.ts`, title };
  });
}

/** Titles of a file, as they are written there. */
function titlesIn(file: string): readonly string[] {
  const text = readFileSync(new URL(file, import.meta.url), 'utf8');
  // A test that is skipped, or that runs only sometimes, would be in the table with a result it does not have.
  expect(text.match(/\b(it|test|describe)\.(skip|todo|only|skipIf|runIf|fails)\b/g) ?? [], file).toEqual([]);
  return [...text.matchAll(/(?:\btest|\))\(\s*(['"])(.+?)\1,\s*async \(/g)].map(([, , title]) => title as string);
}

test('has every trap once, with an answer', () => {
  expect(rows.map(({ number }) => number)).toEqual(rows.map((_, at) => at + 1));
  expect(rows.length).toBeGreaterThanOrEqual(30);
  for (const { trap, meets, tests, result } of rows) {
    if (tests.length > 0) expect(meets.length, trap).toBeGreaterThan(10);
    expect(result, trap).toMatch(tests.length > 0 ? /^pass/ : /^planned: .{5}/);
  }
});

test('names only tests that exist', () => {
  for (const { file, title } of rows.flatMap(({ tests }) => tests)) expect(titlesIn(file), file).toContain(title);
});

test('names every test that was written for a trap', () => {
  const inTable = rows.flatMap(({ tests }) => tests.map(({ file, title }) => `${file}: ${title}`));
  const here = readdirSync(new URL('./', import.meta.url)).filter((file) => file.endsWith('.files.test.ts'));
  expect(here.length).toBeGreaterThan(3);
  for (const file of here) for (const title of titlesIn(file)) expect(inTable).toContain(`${file}: ${title}`);
});
