import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { Spool } from '../../src/state/index.ts';
import { describeChangeLogContract } from './change-log.ts';

async function tempDir(): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'godwit-contract-'));
  onTestFinished(() => rm(dir, { recursive: true, force: true }));
  return dir;
}

describeChangeLogContract('Spool', async () => {
  const dir = await tempDir();
  return { open: () => Spool.open(join(dir, 'spool')) };
});

describeChangeLogContract('Spool of small files', async () => {
  const dir = await tempDir();
  return { open: () => Spool.open(join(dir, 'spool'), { segmentBytes: 300 }) };
});
