/**
 * What CI runs: checks, the whole test suite, then slices of the long ones.
 * The last line counts everything: `N passed, N failed, N skipped`.
 */
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

interface Totals {
  passed: number;
  failed: number;
  skipped: number;
}

const totals: Totals = { passed: 0, failed: 0, skipped: 0 };
/** Chaos runs and kill storms that fit into CI's time beside the suite. */
const CHAOS_RUNS = 5;
const STORMS = 8;
const FIRST_SEED = 1;

/** Runs a command with its output passed on; gives its exit code and what it printed. */
function runCommand(
  command: string,
  args: readonly string[],
  timeoutMs: number,
): Promise<{ code: number; stdout: string }> {
  process.stdout.write(`\n▶ ${command} ${args.join(' ')}\n`);
  return new Promise((resolve) => {
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'inherit'], env: { ...process.env, CI: 'true' } });
    let stdout = '';
    child.stdout.on('data', (chunk: Buffer) => {
      stdout += chunk.toString();
      process.stdout.write(chunk);
    });
    const timer = setTimeout(() => {
      process.stdout.write(`\n${command} took longer than ${timeoutMs / 1000} s and is ended\n`);
      child.kill('SIGTERM');
    }, timeoutMs);
    child.on('close', (code) => {
      clearTimeout(timer);
      resolve({ code: code ?? 1, stdout });
    });
  });
}

/** One command that counts as one check. */
async function check(command: string, args: readonly string[], timeoutMs: number): Promise<void> {
  const { code } = await runCommand(command, args, timeoutMs);
  if (code === 0) totals.passed += 1;
  else totals.failed += 1;
}

async function suite(project: string): Promise<void> {
  const dir = mkdtempSync(join(tmpdir(), 'godwit-ci-'));
  const file = join(dir, 'vitest.json');
  const args = [
    'vitest',
    'run',
    '--project',
    project,
    '--reporter=default',
    '--reporter=json',
    `--outputFile.json=${file}`,
  ];
  const { code } = await runCommand('npx', args, 25 * 60_000);
  try {
    const report = JSON.parse(readFileSync(file, 'utf8')) as {
      numPassedTests: number;
      numFailedTests: number;
      numPendingTests: number;
      numTodoTests: number;
    };
    totals.passed += report.numPassedTests;
    totals.failed += report.numFailedTests;
    totals.skipped += report.numPendingTests + report.numTodoTests;
    if (code !== 0 && report.numFailedTests === 0) totals.failed += 1;
  } catch {
    // No report: the runner itself died.
    totals.failed += 1;
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

async function chaos(): Promise<void> {
  const { code, stdout } = await runCommand(
    'npx',
    ['tsx', 'test/chaos/main.ts', '--seed', String(FIRST_SEED), '--runs', String(CHAOS_RUNS), '--json'],
    15 * 60_000,
  );
  const last = stdout.trim().split('\n').at(-1) ?? '';
  try {
    const summary = JSON.parse(last) as { runs: number; equal: number };
    totals.passed += summary.equal;
    totals.failed += CHAOS_RUNS - summary.equal;
  } catch {
    totals.failed += code === 0 ? 0 : 1;
    if (code === 0) totals.passed += 1;
  }
}

/** `N of M storms well` is the last line. */
async function storms(): Promise<void> {
  const args = ['tsx', 'test/storms/main.ts', '--seed', String(FIRST_SEED), '--runs', String(STORMS)];
  const { stdout } = await runCommand('npx', args, 20 * 60_000);
  const well = Number(/(\d+) of \d+ storms well\s*$/.exec(stdout)?.[1] ?? 0);
  totals.passed += well;
  totals.failed += STORMS - well;
}

await check('npm', ['run', 'build', '--silent'], 5 * 60_000);
for (const step of ['check:types', 'check:lint', 'check:dead'])
  await check('npm', ['run', step, '--silent'], 5 * 60_000);
for (const project of ['unit', 'pg', 'mongo']) await suite(project);
await chaos();
await storms();
await check('npm', ['run', 'demo', '--silent', '--', '--json'], 6 * 60_000);
await check('npm', ['run', 'demo:remodel', '--silent', '--', '--json'], 8 * 60_000);
process.stdout.write(`\n${totals.passed} passed, ${totals.failed} failed, ${totals.skipped} skipped\n`);
process.exitCode = totals.failed === 0 ? 0 : 1;
