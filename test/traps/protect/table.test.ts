/** docs/reference/traps-protect.md: no row without an answer, no test that does not exist, no test without a row. */
import { readdirSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';

const root = new URL('../../../', import.meta.url);
const table = readFileSync(new URL('docs/reference/traps-protect.md', root), 'utf8');

/** As the page says. */
const FOLDERS: Readonly<Record<string, string>> = {
  traps: 'test/traps/protect',
  sim: 'test/protect-sim',
  engine: 'src/routes/protect/engine',
  mounted: 'test/protect-mounted',
  nbd: 'src/adapters/nbd',
};

const rows = table
  .split('\n')
  .filter((line) => /^\| \d+ \|/.test(line))
  .map((line) => {
    const [number, trap, meets, tests, result] = line
      .slice(1, -1)
      .split('|')
      .map((cell) => cell.trim()) as [string, string, string, string, string];
    return { number: Number(number), trap, meets, tests: tests === '' ? [] : tests.split('<br>').map(named), result };
  });

function named(cell: string): { file: string; title: string } {
  const [, folder, name, title] = /^`(\w+)\/([\w.-]+)`: (.+)$/.exec(cell) ?? [];
  const path = FOLDERS[folder ?? ''];
  if (path === undefined || title === undefined) throw new Error(`Not a test: ${cell}`);
  return { file: `${path}/${name}.test.ts`, title };
}

function titlesIn(file: string): readonly string[] {
  const text = readFileSync(new URL(file, root), 'utf8');
  expect(text.match(/\b(it|test|describe)\.(skip|todo|only|skipIf|runIf|fails)\b/g) ?? [], file).toEqual([]);
  return [...text.matchAll(/(?:\b(?:it|test)|\))\(\s*(['"])(.+?)\1,\s*(?:async )?\(/g)].map(
    ([, , title]) => title as string,
  );
}

test('has each trap once, with an answer', () => {
  expect(rows.map(({ number }) => number)).toEqual(rows.map((_, i) => i + 1));
  expect(rows.length).toBeGreaterThanOrEqual(33);
  for (const { trap, meets, tests, result } of rows) {
    expect(result, trap).toMatch(tests.length > 0 ? /^pass/ : /^planned: .{20}/);
    if (tests.length > 0) expect(meets.length, trap).toBeGreaterThan(20);
  }
});

test('names only tests that exist, and every test that was written for a trap', () => {
  const inTable = rows.flatMap(({ tests }) => tests);
  for (const { file, title } of inTable) expect(titlesIn(file), file).toContain(title);
  const files = readdirSync(new URL('./', import.meta.url)).filter(
    (file) => file.endsWith('.test.ts') && file !== 'table.test.ts',
  );
  expect(files.length).toBeGreaterThan(3);
  const names = inTable.map(({ file, title }) => `${file}: ${title}`);
  for (const name of files) {
    const file = `test/traps/protect/${name}`;
    for (const title of titlesIn(file)) expect(names).toContain(`${file}: ${title}`);
  }
});
