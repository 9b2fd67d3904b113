import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { resolve } from 'node:path';
import { expect, test } from 'vitest';

const at = (...path: string[]) => resolve(import.meta.dirname, ...path);

/** Lines of the later version that are new or not as they were. */
function changedLines(file: string): number {
  const { status, stdout } = spawnSync('diff', [at('before', file), at('after', file)], { encoding: 'utf8' });
  expect(status, 'diff failed').toBeLessThan(2);
  return stdout.split('\n').filter((line) => line.startsWith('>')).length;
}

test('the application changes in at most 25 lines, and gets the definition beside them', () => {
  const before = readdirSync(at('before'));
  expect(readdirSync(at('after')).filter((file) => !before.includes(file))).toEqual(['subs.ts']);
  const lines = before.map(changedLines).reduce((sum, count) => sum + count, 0);
  expect(lines).toBeGreaterThan(10);
  expect(lines).toBeLessThanOrEqual(25);
});
