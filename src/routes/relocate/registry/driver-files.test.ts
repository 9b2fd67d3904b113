import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { driverFiles } from './driver-files.ts';

let dir = '';
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'godwit-drivers-'));
  mkdirSync(join(dir, 'Windows', 'System32', 'drivers'), { recursive: true });
  mkdirSync(join(dir, 'Windows', 'System32', 'DriverStore'));
  mkdirSync(join(dir, 'plain'));
  writeFileSync(join(dir, 'Windows', 'System32', 'drivers', 'StorNVMe.sys'), '');
  writeFileSync(join(dir, 'Windows', 'System32', 'DriverStore', 'ia.SYS'), '');
  writeFileSync(join(dir, 'plain', 'a.sys'), '');
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

test('files are found whatever their case, and none outside of Windows', () => {
  const exists = driverFiles(join(dir, 'Windows', 'System32', 'drivers'));
  expect(exists('system32\\DRIVERS\\stornvme.SYS')).toBe(true);
  expect(exists('System32\\DriverStore\\IA.sys')).toBe(true);
  for (const path of [
    'System32\\drivers\\x.sys',
    'System32\\drivers',
    '',
    'System32\\drivers\\..\\drivers\\StorNVMe.sys',
    '..\\plain\\a.sys',
    'System32\\drivers\\StorNVMe.sys\\x',
  ]) {
    expect(exists(path), path).toBe(false);
  }
});

test('a folder by itself holds drivers and nothing else', () => {
  const exists = driverFiles(join(dir, 'plain'));
  expect(exists('System32\\drivers\\A.SYS')).toBe(true);
  expect(exists('System32\\a.sys')).toBe(false);
  expect(driverFiles(join(dir, 'gone'))('System32\\drivers\\a.sys')).toBe(false);
});
