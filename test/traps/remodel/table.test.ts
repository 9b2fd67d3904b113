/** docs/reference/traps-remodel.md: all twenty traps, and no test that does not exist. */
import { readdirSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';

const root = new URL('../../../', import.meta.url);
const table = readFileSync(new URL('docs/reference/traps-remodel.md', root), 'utf8');

/** As the page says. */
const FILES: Readonly<Record<string, (name: string) => string>> = {
  pg: (name) => `src/adapters/postgres/remodel/${name}.pg.test.ts`,
  mongo: (name) => `src/adapters/mongodb/remodel/${name}.mongo.test.ts`,
  library: (name) => `src/routes/remodel/library/${name}.test.ts`,
  relay: (name) => `src/routes/remodel/relay/${name}.test.ts`,
  kernel: (name) => `src/kernel/remodel/${name}.test.ts`,
  e2e: (name) => `test/e2e/remodel/${name}.test.ts`,
  traps: (name) => `test/traps/remodel/${name}.test.ts`,
  stress: (name) => `test/stress/${name}.test.ts`,
  contract: (name) => `test/contract/${name}.ts`,
};

interface Named {
  readonly file: string;
  readonly title: string;
}

const rows = table
  .split('\n')
  .filter((line) => /^\| \d+ \|/.test(line))
  .map((line) => {
    const [number, trap, meets, postgres, mongodb, result] = line
      .slice(1, -1)
      .split('|')
      .map((cell) => cell.trim()) as [string, string, string, string, string, string];
    return { number: Number(number), trap, meets, tests: [...named(postgres), ...named(mongodb)], result };
  });

function named(cell: string): Named[] {
  if (cell === '') return [];
  return cell.split('<br>').map((each) => {
    const [, folder, name, title] = /^`(\w+)\/([\w.-]+)`: (.+)$/.exec(each) ?? [];
    const file = FILES[folder ?? ''];
    if (file === undefined || name === undefined || title === undefined) throw new Error(`Not a test: ${each}`);
    return { file: file(name), title };
  });
}

/** Titles of a file, as they are written there. */
function titlesIn(file: string): readonly string[] {
  const text = readFileSync(new URL(file, root), 'utf8');
  // A test that is skipped, or that runs only sometimes, would be in the table with a result it does not have.
  expect(text.match(/\b(it|test|describe)\.(skip|todo|only|skipIf|runIf|fails)\b/g) ?? [], file).toEqual([]);
  // Of `test.each`, what follows the table of cases: `…)('title', …`.
  const found = text.matchAll(/(?:\b(?:it|test)|\))\(\s*(['"])(.+?)\1,\s*(?:\{[^}]*\},\s*)?(?:async )?\(/g);
  return [...found].map(([, , title]) => title as string);
}

test('has each of the twenty traps once, with an answer', () => {
  expect(rows.map(({ number }) => number)).toEqual(Array.from({ length: 20 }, (_, i) => i + 1));
  for (const { trap, meets, tests, result } of rows) {
    expect(meets.length, trap).toBeGreaterThan(20);
    expect(result, trap).toMatch(tests.length > 0 ? /^(pass|n\.a\.: .{20})/ : /^(planned|n\.a\.): .{20}/);
  }
});

test('names only tests that exist', () => {
  for (const { file, title } of rows.flatMap(({ tests }) => tests)) expect(titlesIn(file), file).toContain(title);
});

test('names every test that was written for a trap alone', () => {
  const here = readdirSync(new URL('./', import.meta.url)).filter((file) => /\.(pg|mongo)\.test\.ts$/.test(file));
  expect(here.length).toBeGreaterThan(5);
  const inTable = rows.flatMap(({ tests }) => tests.map(({ file, title }) => `${file}: ${title}`));
  for (const name of here) {
    const file = `test/traps/remodel/${name}`;
    const titles = titlesIn(file);
    expect(titles.length, file).toBeGreaterThan(0);
    for (const title of titles) expect(inTable).toContain(`${file}: ${title}`);
  }
});
