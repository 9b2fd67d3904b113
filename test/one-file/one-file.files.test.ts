/** The command as one file, made here and run where there is neither Node nor a shell. */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { makeOneFile } from '../../scripts/one-file/make.ts';
import type { AgentResult } from '../../src/routes/relocate/api.ts';
import { must } from '../files/file-system.ts';
import { certify, differences } from '../files/move.ts';
import { BareRoot } from './bare-root.ts';

const work = mkdtempSync(join(tmpdir(), 'godwit-one-file-test-'));
const made = join(work, 'godwit');
const LIBRARY = /^(?:ld-linux|lib(?:c|m|dl|rt|pthread|stdc\+\+|gcc_s)\.so)/;
const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
  version: string;
};

beforeAll(async () => {
  await makeOneFile({ out: made });
});
afterAll(() => rmSync(work, { recursive: true, force: true }));

/** A tree with what only native calls can carry, and enough that is alike for compression to matter. */
async function plant(dir: string): Promise<void> {
  mkdirSync(join(dir, 'etc/deep'), { recursive: true });
  for (let at = 0; at < 50; at += 1) writeFileSync(join(dir, `etc/deep/${at}`), `setting ${at}\n`.repeat(at * 40));
  writeFileSync(join(dir, 'large'), 'the same line again and again\n'.repeat(200_000));
  await must('python3', [
    '-c',
    'import os,sys\nos.chdir(sys.argv[1])\nos.mkfifo("fifo")\nos.symlink("etc","link")\nos.link("large","second")\n' +
      'os.setxattr("large","user.note",b"kept")\nos.chown("etc/deep/7",1234,4321)\nos.truncate("etc/deep/9",1<<24)\n' +
      'os.utime("etc/deep/8",ns=(1,1234567890123456789))\nopen(b"\\xff name","w").write("x")',
    dir,
  ]);
}

test('moves directories and proves it in a root with libraries only', { timeout: 300_000 }, async () => {
  using root = await BareRoot.with(made);
  expect(root.files.filter((name) => !LIBRARY.test(name))).toEqual(['godwit']);
  const told = await root.run(['--version']);
  expect(told).toMatchObject({ code: 0, stderr: '' });
  expect(told.stdout).toContain(`${version} (one file: relocate only; Node ${process.versions.node}`);

  const [source, target] = [join(root.dir, 'source'), join(root.dir, 'target')];
  for (const dir of [source, target]) mkdirSync(dir);
  await plant(source);
  const receiver = root.start(['relocate', 'receive', '--listen', 'unix:/tmp/socket', '--root', '/target', '--once']);
  const listening = new Promise((resolve) => receiver.child.stdout?.once('data', resolve));
  await Promise.race([listening, receiver.ended]);
  const agent = await root.run([
    ...['relocate', 'agent', '--to', 'unix:/tmp/socket', '--map', '/source=/copy', '--state', '/tmp/agent'],
    ...['--once', '--compress', 'always', '--json'],
  ]);
  expect(agent, agent.stderr).toMatchObject({ code: 0 });
  expect((await receiver.ended).code).toBe(0);
  const { result } = JSON.parse(agent.stdout.trim().split('\n').at(-1) ?? '') as { result: AgentResult };
  expect(result.outcome).toBe('proven');
  // The threads that compress ran, too.
  expect(result.wireBytes).toBeLessThan((result.certificate?.bytes ?? 0) / 10);
  const copy = join(target, 'copy');
  expect(await differences(source, copy)).toEqual([]);
  const proven = result.certificate?.mappings[0]?.root;
  expect([await certify(source), await certify(copy)]).toEqual([proven, proven]);

  const status = await root.run(['relocate', 'status', '--state', '/tmp/nothing']);
  expect(status.stderr).toContain('GW1002');
});

test('what others could have put into its folder is not loaded', { timeout: 120_000 }, async () => {
  using root = await BareRoot.with(made);
  expect((await root.run(['--version'])).code).toBe(0);
  const base = join(
    root.dir,
    'tmp',
    readdirSync(join(root.dir, 'tmp')).find((name) => name.startsWith('godwit-')) ?? '',
  );
  const start = join(base, readdirSync(base)[0] ?? '', 'start.cjs');
  expect(existsSync(start)).toBe(true);
  writeFileSync(start, "console.log('planted'); process.exit(0);");
  const again = await root.run(['--version']);
  expect(again.stdout).toContain(version);
  expect(again.stdout).not.toContain('planted');
});

test('says what it needs where the C library is too old', { timeout: 300_000 }, async () => {
  const future = join(work, 'future');
  await makeOneFile({ out: future, glibc: '99.0' });
  using root = await BareRoot.with(future);
  const { code, stdout, stderr } = await root.run(['--version']);
  expect({ code, stdout }).toEqual({ code: 3, stdout: '' });
  expect(stderr).toContain('GW2407');
  expect(stderr).toMatch(/needs glibc 99\.0 or newer; here is glibc 2\.\d+/);
});
