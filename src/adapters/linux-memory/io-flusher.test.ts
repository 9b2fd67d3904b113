import { execFile } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, onTestFinished, test } from 'vitest';
import { ioFlusher } from './io-flusher.ts';

const run = promisify(execFile);
const module = new URL('./io-flusher.ts', import.meta.url).href;

/** A program of its own: what is tried here is done to a whole process. */
async function play(code: string): Promise<string[]> {
  const dir = mkdtempSync(join(tmpdir(), 'godwit-flusher-'));
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }));
  const script = join(dir, 'program.mjs');
  writeFileSync(script, code);
  const words = ['--import', import.meta.resolve('tsx'), script, 'a word', 'another'];
  const { stdout } = await run(process.execPath, words, { env: { ...process.env, GODWIT_IO_FLUSHER: undefined } });
  return stdout.trim().split('\n');
}

test('the same command goes on in the same process', async () => {
  const lines = await play(`
    import { startAnew } from '${module}';
    console.log([process.pid, ...process.argv.slice(2)].join());
    if (process.env.AGAIN !== 'yes') startAnew({ ...process.env, AGAIN: 'yes' });
    console.log(process.env.AGAIN);
  `);
  expect(lines[0]).toMatch(/^\d+,a word,another$/);
  expect(lines).toEqual([lines[0], lines[0], 'yes']);
});

test('a process is one with all its threads, or says that it may not be', async () => {
  const lines = await play(`
    import { readFile } from 'node:fs/promises';
    import { readdirSync, readFileSync } from 'node:fs';
    import { becomeIoFlusher } from '${module}';
    const is = becomeIoFlusher();
    await readFile('/proc/self/stat');
    const flags = readdirSync('/proc/self/task').map((task) =>
      Number(readFileSync('/proc/self/task/' + task + '/stat', 'utf8').split(') ')[1].split(' ')[6]));
    // PF_MEMALLOC_NOIO, PF_LOCAL_THROTTLE
    console.log(is, flags.every((each) => (each & 0x180000) === 0x180000), flags.length > 4);
  `);
  const mayBe = hasRight();
  expect(lines).toEqual([mayBe ? 'on true true' : `${ioFlusher()} false true`]);
  if (!mayBe) expect(ioFlusher()).not.toBe('on');
});

/** CAP_SYS_RESOURCE. */
function hasRight(): boolean {
  expect(readdirSync('/proc/self/task').length).toBeGreaterThan(0);
  const [, effective] = /^CapEff:\t(\w+)$/m.exec(readFileSync('/proc/self/status', 'utf8')) ?? [];
  return (BigInt(`0x${effective}`) & (1n << 24n)) !== 0n;
}
