/** The rows of docs/reference/traps-relocate.md on rehearsals name only tests that exist, and every one that was written for them. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';

const root = new URL('../../', import.meta.url);
const rows = readFileSync(new URL('docs/reference/traps-relocate.md', root), 'utf8')
  .split('\n')
  .filter((line) => /^\| R\d+ \|/.test(line))
  .map((line) =>
    line
      .slice(1, -1)
      .split('|')
      .map((cell) => cell.trim()),
  );
const textOf = (file: string) => readFileSync(new URL(`./${file}`, import.meta.url), 'utf8');

test('every trap of a rehearsal is there once, with an answer and with tests that exist', () => {
  expect(rows.map(([number]) => number)).toEqual(rows.map((_, at) => `R${at + 1}`));
  expect(rows.length).toBe(7);
  for (const [number, , , tests = '', result = ''] of rows) {
    expect(result, number).toMatch(tests === '' ? /^planned: .{5}/ : /^pass/);
    for (const each of tests.split(/<br>|; /)) {
      const [, name = '', title] = /^`([^`]+)`(?:: (.+))?$/.exec(each) ?? [];
      if (title !== undefined) expect(textOf(`${name}.files.test.ts`), each).toContain(`test('${title}'`);
      else if (name.includes('/')) expect(existsSync(new URL(name, root)), name).toBe(true);
      else expect(existsSync(new URL(`./${name}.ts`, import.meta.url)), name).toBe(true);
    }
  }
});

test('no test of holding is skipped', () => {
  const files = readdirSync(new URL('./', import.meta.url)).filter((file) => file.endsWith('.files.test.ts'));
  expect(files.length).toBe(3);
  for (const file of files) expect(textOf(file), file).not.toMatch(/\btest\.(?:skip|todo|only|skipIf|fails)\b/);
});
