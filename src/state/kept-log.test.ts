import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { Position } from '../kernel/position.ts';
import { codeOf, tempDir } from './fixtures/temp.ts';
import { KeptLog, type KeptLogAbout, readKeptLog } from './kept-log.ts';

const ABOUT: KeptLogAbout = {
  version: 1,
  sourceId: 'old:1',
  source: 'mongodb://old/',
  include: ['shop'],
  exclude: [],
  start: '0000000000000005' as Position,
  startedAt: '2030-01-01T00:00:00.000Z',
};
const describe = async () => ABOUT;
const at = (n: number) => n.toString(16).padStart(16, '0') as Position;

test('is begun once and gone on with, by one process at a time', async () => {
  const dir = join(tempDir(), 'kept');
  expect(await codeOf(() => readKeptLog(dir))).toBe('GW1001');
  const kept = await KeptLog.open(dir, {}, describe);
  await kept.spool.append({ first: at(6), last: at(6), count: 1, bytes: Buffer.from('x') });
  expect(await codeOf(() => KeptLog.open(dir, {}, describe))).toBe('GW7001');
  expect(readKeptLog(dir).isWritten()).toBe(true);
  await kept.close();
  const view = readKeptLog(dir);
  expect(view.about).toEqual(ABOUT);
  expect(view.isWritten()).toBe(false);
  const again = await KeptLog.open(dir, {}, () => Promise.reject(new Error('it is there already')));
  expect(again.about).toEqual(ABOUT);
  expect(again.spool.end).toBe(at(6));
  await again.close();
  expect(statSync(join(dir, 'about.json')).mode & 0o777).toBe(0o600);
});

test('does not begin in a folder that holds something else, or go on with what a newer Godwit wrote', async () => {
  const dir = tempDir();
  writeFileSync(join(dir, 'letter.txt'), 'dear reader');
  expect(await codeOf(() => KeptLog.open(dir, {}, describe))).toBe('GW1001');
  expect(readFileSync(join(dir, 'letter.txt'), 'utf8')).toBe('dear reader');
  const newer = tempDir();
  writeFileSync(join(newer, 'about.json'), JSON.stringify({ ...ABOUT, version: 2 }));
  expect(await codeOf(() => KeptLog.open(newer, {}, describe))).toBe('GW9002');
});

test('a beginning that failed leaves nothing in the way', async () => {
  const dir = join(tempDir(), 'kept');
  expect(await codeOf(() => KeptLog.open(dir, {}, () => Promise.reject(new Error('no source'))))).toContain(
    'no source',
  );
  const kept = await KeptLog.open(dir, {}, describe);
  await kept.close();
});
