/** docs/reference/traps.md and the tests name each other: no row without its test, no test without its row. */
import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';

const SUFFIX = '.mongo.test.ts';
const here = new URL('./', import.meta.url);
const table = readFileSync(new URL('../../docs/reference/traps.md', here), 'utf8');

/** `file: name` of every test there is. */
function testsInFiles(): string[] {
  const files = readdirSync(here).filter((file) => file.endsWith(SUFFIX));
  return files.flatMap((file) => {
    const text = readFileSync(new URL(file, here), 'utf8');
    // A test that is skipped, or that runs only sometimes, would be in the table with a result it does not have.
    expect(text.match(/\b(it|test|describe)\.(skip|todo|only|skipIf|runIf|fails)\b/g) ?? []).toEqual([]);
    return [...text.matchAll(/\b(?:it|test)\(\s*'([^']+)'/g)].map(
      ([, name]) => `${file.slice(0, -SUFFIX.length)}: ${name}`,
    );
  });
}

interface Row {
  readonly trap: string;
  readonly tests: string[];
  readonly result: string;
}

function rowsOfTable(): Row[] {
  const rows = table
    .split('\n')
    .filter((line) => /^\|.*\|.*\|.*\|$/.test(line) && !/^\|[-|]+\|$/.test(line) && !line.includes('| Tests |'));
  return rows.map((line) => {
    const [trap = '', tests = '', result = ''] = line
      .slice(1, -1)
      .split('|')
      .map((cell) => cell.trim());
    return {
      trap,
      tests: tests === '' ? [] : tests.split('<br>').map((test) => test.replace(/^`([^`]+)`/, '$1')),
      result,
    };
  });
}

describe('the table of traps', () => {
  const rows = rowsOfTable();

  it('names every test, and only tests that exist', () => {
    const inTable = rows.flatMap(({ tests }) => tests);
    expect(inTable.length).toBeGreaterThan(40);
    expect([...inTable].sort()).toEqual(testsInFiles().sort());
    expect(new Set(inTable).size).toBe(inTable.length);
  });

  it('claims a pass only where there is a test, and gives a reason where there is none', () => {
    for (const { trap, tests, result } of rows) {
      expect(result, trap).toMatch(tests.length > 0 ? /^pass/ : /^(planned|n\.a\.): .{20}/);
    }
  });
});
