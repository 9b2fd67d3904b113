import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { snapshotOf, withBigint } from '../../../test/contract/compare-world.ts';
import { findSpark } from '../../../test/servers/spark.ts';
import { waitFor } from '../../../test/servers/wait-for.ts';
import type { CompareInput } from '../../kernel/remodel/index.ts';
import { SparkCompareEngine } from './index.ts';

const never = new AbortController().signal;
let dir = '';
let sparkHome = '';
let input: CompareInput;

beforeAll(async () => {
  sparkHome = await findSpark();
  dir = mkdtempSync(join(tmpdir(), 'godwit-spark-test-'));
  const world = {
    columns: ['number'],
    old: new Map([['a', ['1']]]),
    new: new Map([['a', ['1']]]),
    pending: new Set<string>(),
    tombstone: new Set<string>(),
  };
  input = await snapshotOf(world, join(dir, 'snapshot'), 1);
  await withBigint(input.oldFiles, 1, 'c0');
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

test('without a Spark it is said what to install', async () => {
  const engine = new SparkCompareEngine({ sparkHome: join(dir, 'nowhere'), tempDir: join(dir, 'temporary') });
  await expect(engine.missing(input, join(dir, 'out'), never)).rejects.toMatchObject({
    code: 'GW1008',
    hint: expect.stringContaining('SPARK_HOME'),
  });
  expect(readdirSync(join(dir, 'temporary'))).toEqual([]);
});

test('a failure says what Spark said last', async () => {
  const engine = new SparkCompareEngine({ sparkHome, tempDir: join(dir, 'temporary') });
  const compared = engine.compare(input, join(dir, 'out'), never);
  await expect(compared).rejects.toMatchObject({
    code: 'GW1009',
    message: expect.stringContaining('godwit: the columns of old_rows and new_rows are not of the same types'),
    details: { engine: 'spark', said: expect.arrayContaining([expect.stringMatching(/^godwit: /)]) },
  });
  expect(existsSync(join(dir, 'out'))).toBe(false);
}, 240_000);

test('a stop ends Java and Python, and leaves nothing behind', async () => {
  const temporary = join(dir, 'stopped');
  const engine = new SparkCompareEngine({ sparkHome, tempDir: temporary });
  const stop = new AbortController();
  const running = engine.missing(input, join(dir, 'out'), stop.signal);
  running.catch(() => {});
  const started = () => processesNaming(temporary).some((line) => line.includes('python'));
  await waitFor(started, { what: 'Spark to run our program', timeoutMs: 120_000 });
  stop.abort();
  await expect(running).rejects.toMatchObject({ code: 'GW8001' });
  await waitFor(() => processesNaming(temporary).length === 0, { what: 'its processes to end', timeoutMs: 60_000 });
  expect(readdirSync(temporary)).toEqual([]);
  expect(existsSync(join(dir, 'out'))).toBe(false);
}, 240_000);

/** Command lines of running processes that name a path. */
function processesNaming(path: string): string[] {
  const lines = readdirSync('/proc').map((pid) => {
    try {
      return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ');
    } catch {
      return ''; // no process, or one that has ended
    }
  });
  return lines.filter((line) => line.includes(path));
}
