import { expect, test } from 'vitest';
import { startChild } from './fixtures/child.ts';
import { codeOf, tempDir } from './fixtures/temp.ts';
import { acquireRunLock, runLockHolder } from './run-lock.ts';
import { RunStore } from './run-store.ts';

function newRun(): string {
  const dir = tempDir();
  RunStore.create(dir, 'r', { route: 'migrate', plan: {} }).close();
  return dir;
}

test('one at a time in a process too, and again after release', async () => {
  const dir = newRun();
  expect(await codeOf(() => acquireRunLock(dir, 'none'))).toBe('GW1002');
  const lock = acquireRunLock(dir, 'r');
  expect(() => acquireRunLock(dir, 'r')).toThrow(`process ${process.pid}`);
  expect(await codeOf(() => acquireRunLock(dir, 'r'))).toBe('GW7001');
  expect(runLockHolder(dir, 'r')).toEqual({ pid: process.pid });
  lock.release();
  lock.release();
  expect(runLockHolder(dir, 'r')).toBeUndefined();
  {
    using again = acquireRunLock(dir, 'r');
    expect(again).toBeDefined();
  }
  expect(runLockHolder(dir, 'r')).toBeUndefined();
});

test('a living process keeps others out; its death by SIGKILL lets them in', { timeout: 30_000 }, async () => {
  const dir = newRun();
  const child = startChild('./hold-lock.ts', dir, 'r');
  await child.spoke;
  expect(() => acquireRunLock(dir, 'r')).toThrow(`process ${child.process.pid}`);
  expect(runLockHolder(dir, 'r')).toEqual({ pid: child.process.pid });
  await child.kill();
  expect(runLockHolder(dir, 'r')).toBeUndefined();
  acquireRunLock(dir, 'r').release();
});
