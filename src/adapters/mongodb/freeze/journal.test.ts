import { appendFileSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { openLock, releasedAt, writeJournal } from './journal.ts';

let dir = '';
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'godwit-journal-'));
});
afterEach(() => rmSync(dir, { recursive: true }));

const at = '2030-01-01T00:00:00.000Z';
const address = 'old-3:27017';

test('says which lock may still stand', () => {
  const path = join(dir, 'freeze.log');
  expect(openLock(path)).toBeUndefined();
  writeJournal(path, { what: 'locking', at, address, pid: 7, leaseMs: 9 });
  expect(openLock(path)).toEqual({ address, pid: 7, leaseMs: 9, since: at, certain: false });
  writeJournal(path, { what: 'locked', at, address });
  expect(openLock(path)).toEqual({ address, pid: 7, leaseMs: 9, since: at, certain: true });
  writeJournal(path, { what: 'released', at, address, why: 'the copy is complete' });
  expect(openLock(path)).toBeUndefined();
  expect(releasedAt(path)).toBe(at);
  writeJournal(path, { what: 'locking', at, address: 'old-2:27017', pid: 8, leaseMs: 9 });
  expect(openLock(path)).toMatchObject({ address: 'old-2:27017', certain: false });
  expect(releasedAt(path)).toBeUndefined();
  expect(statSync(path).mode & 0o777).toBe(0o600);
});

test('a line that a crash cut off does not hide those before it', () => {
  const path = join(dir, 'freeze.log');
  writeJournal(path, { what: 'locking', at, address, pid: 7, leaseMs: 9 });
  appendFileSync(path, '{"what":"rele');
  expect(openLock(path)).toMatchObject({ address });
  writeJournal(path, { what: 'released', at, address, why: 'by hand' });
  expect(openLock(path)).toBeUndefined();
});
