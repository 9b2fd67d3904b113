/** The rows of docs/reference/traps-relocate.md on booting name only tests that exist. */
import { existsSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';

const root = new URL('../../', import.meta.url);
const rows = readFileSync(new URL('docs/reference/traps-relocate.md', root), 'utf8')
  .split('\n')
  .filter((line) => /^\| B\d+ \|/.test(line))
  .map((line) =>
    line
      .slice(1, -1)
      .split('|')
      .map((cell) => cell.trim()),
  );

test('every trap of booting is there once, with an answer and with tests that exist', () => {
  expect(rows.map(([number]) => number)).toEqual(rows.map((_, at) => `B${at + 1}`));
  expect(rows.length).toBe(19);
  for (const [number, , , tests = '', result = ''] of rows) {
    expect(result, number).toMatch(tests === '' ? /^planned: .{5}/ : /^pass/);
    for (const [, file = '', title] of tests.matchAll(/`([^`]+)`(?:: (.+?)(?=<br>|$))?/g)) {
      expect(existsSync(new URL(file, root)), file).toBe(true);
      if (title !== undefined) expect(readFileSync(new URL(file, root), 'utf8'), file).toContain(`test('${title}'`);
    }
  }
});
