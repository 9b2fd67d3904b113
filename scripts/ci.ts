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
/** What failed and why, told again at the end: of a long log often only the end is kept. */
const failures: string[] = [];
/** Each part's share of the time and of the totals. */
const parts: string[] = [];
/** Chaos runs and kill storms that fit into CI's time beside the suite. */
const CHAOS_RUNS = 5;
const STORMS = 40;
/** Simulated schedules of `protect`, and storms over its real processes. */
const SCHEDULES = 10_000;
const PROTECT_STORMS = 4;
/** Controllers that a moved Debian boots on, each beside a control; live moves have their own command: they take three times as long. */
const BOOTS = ['ahci', 'nvme', 'megasas'];
/** Random operations on files, followed by rounds that are told of changes. */
const FILE_RUNS = 300;
const FIRST_SEED = 1;
/** What waits for something waits longer here than at a desk: a busy machine is not to look like a fault. */
const PATIENCE = '4';

interface Ran {
  code: number;
  /** Both streams, in the order they came. */
  output: string;
}

/** Runs a command with its output passed on; gives its exit code and what it printed. */
function runCommand(command: string, args: readonly string[], timeoutMs: number): Promise<Ran> {
  process.stdout.write(`\n▶ ${command} ${args.join(' ')}\n`);
  return new Promise((resolve) => {
    const child = spawn(command, args, {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, CI: 'true', GODWIT_KILLS: 'all', GODWIT_PATIENCE: PATIENCE },
    });
    let output = '';
    const passOn = (to: NodeJS.WriteStream) => (chunk: Buffer) => {
      output += chunk.toString();
      to.write(chunk);
    };
    child.stdout.on('data', passOn(process.stdout));
    child.stderr.on('data', passOn(process.stderr));
    const timer = setTimeout(() => {
      output += `\n${command} took longer than ${timeoutMs / 1000} s and is ended\n`;
      process.stdout.write(output.slice(output.lastIndexOf(`\n${command} took`)));
      child.kill('SIGTERM');
    }, timeoutMs);
    child.on('close', (code) => {
      clearTimeout(timer);
      resolve({ code: code ?? 1, output });
    });
  });
}

function lastLines(output: string, count: number): string {
  return output.trimEnd().split('\n').slice(-count).join('\n');
}

/** Runs one part and notes how long it took and what it added to the totals. */
async function part(name: string, run: () => Promise<void>): Promise<void> {
  const before = { ...totals };
  const start = performance.now();
  await run();
  const seconds = ((performance.now() - start) / 1000).toFixed(0).padStart(5);
  const [passed, failed] = [totals.passed - before.passed, totals.failed - before.failed];
  parts.push(`${seconds} s  ${name}: ${passed} passed, ${failed} failed`);
}

/** One command that counts as one check. */
async function check(command: string, args: readonly string[], timeoutMs: number): Promise<void> {
  await part(`${command} ${args.join(' ')}`, async () => {
    const { code, output } = await runCommand(command, args, timeoutMs);
    if (code === 0) totals.passed += 1;
    else {
      totals.failed += 1;
      failures.push(`${command} ${args.join(' ')} ended with ${code}\n${lastLines(output, 40)}`);
    }
  });
}

interface VitestReport {
  numPassedTests: number;
  numFailedTests: number;
  numPendingTests: number;
  numTodoTests: number;
  testResults: {
    name: string;
    status: string;
    message: string;
    assertionResults: { status: string; fullName: string; failureMessages: string[] }[];
  }[];
}

function suiteFailures(report: VitestReport): string[] {
  return report.testResults.flatMap((file) => {
    const tests = file.assertionResults.filter(({ status }) => status === 'failed');
    if (tests.length === 0 && file.status === 'failed') return [`${file.name}\n${file.message.slice(0, 1500)}`];
    return tests.map((test) => `${file.name} ${test.fullName}\n${test.failureMessages.join('\n').slice(0, 1500)}`);
  });
}

async function suite(project: string): Promise<void> {
  const dir = mkdtempSync(join(tmpdir(), 'godwit-ci-'));
  const file = join(dir, 'vitest.json');
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${file}`];
  const { code, output } = await runCommand('npx', ['vitest', 'run', '--project', project, ...reporters], 25 * 60_000);
  try {
    const report = JSON.parse(readFileSync(file, 'utf8')) as VitestReport;
    totals.passed += report.numPassedTests;
    totals.failed += report.numFailedTests;
    totals.skipped += report.numPendingTests + report.numTodoTests;
    failures.push(...suiteFailures(report));
    if (code !== 0 && report.numFailedTests === 0) {
      // A file that did not load, or an error outside of every test.
      totals.failed += 1;
      failures.push(`${project}: no test failed, but the run did\n${lastLines(output, 80)}`);
    }
  } catch {
    // No report: the runner itself died.
    totals.failed += 1;
    failures.push(`${project}: the run left no report\n${lastLines(output, 80)}`);
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

async function chaos(): Promise<void> {
  const args = ['tsx', 'test/chaos/main.ts', '--seed', String(FIRST_SEED), '--runs', String(CHAOS_RUNS), '--json'];
  const { output } = await runCommand('npx', args, 15 * 60_000);
  const equal = Number(/^\{.*"equal":(\d+).*\}$/m.exec(output)?.[1] ?? 0);
  totals.passed += equal;
  totals.failed += CHAOS_RUNS - equal;
  if (equal < CHAOS_RUNS) failures.push(`chaos: ${equal} of ${CHAOS_RUNS} equal\n${lastLines(output, 60)}`);
}

/** `N of M storms well`, or runs, sums it up. */
async function storms(program: string, runs: number, ...more: string[]): Promise<void> {
  const args = ['tsx', program, '--seed', String(FIRST_SEED), '--runs', String(runs), ...more];
  const { output } = await runCommand('npx', args, 30 * 60_000);
  const well = Number(/(\d+) of \d+ (?:storms|runs) well$/m.exec(output)?.[1] ?? 0);
  totals.passed += well;
  totals.failed += runs - well;
  if (well < runs) failures.push(`${program}: ${well} of ${runs} well\n${lastLines(output, 90)}`);
}

/** `N schedules in …, M failed` sums it up. */
async function schedules(): Promise<void> {
  const args = [
    'tsx',
    'test/protect-sim/main.ts',
    '--jobs',
    '2',
    '--seeds',
    String(SCHEDULES),
    '--from',
    String(FIRST_SEED),
  ];
  const { output } = await runCommand('npx', args, 15 * 60_000);
  const [, ran = 0, failed = SCHEDULES] = /^(\d+) schedules in .*, (\d+) failed$/m.exec(output) ?? [];
  const well = Number(ran) - Number(failed);
  totals.passed += Math.max(0, well);
  totals.failed += SCHEDULES - Math.max(0, well);
  if (well < SCHEDULES) failures.push(`protect-sim: ${well} of ${SCHEDULES} well\n${lastLines(output, 60)}`);
}

/** `N of M pairs well` sums it up. */
async function boots(): Promise<void> {
  const args = ['tsx', 'test/boots/main.ts', '--at-rest', '--to', BOOTS.join(',')];
  const { code, output } = await runCommand('npx', args, 25 * 60_000);
  const well = code === 0 ? Number(/^(\d+) of \d+ pairs well/m.exec(output)?.[1] ?? 0) : 0;
  totals.passed += well;
  totals.failed += BOOTS.length - well;
  if (well < BOOTS.length) failures.push(`boots: ${well} of ${BOOTS.length} pairs well\n${lastLines(output, 40)}`);
}

await check('npm', ['run', 'build', '--silent'], 5 * 60_000);
for (const step of ['check:types', 'check:lint', 'check:dead'])
  await check('npm', ['run', step, '--silent'], 5 * 60_000);
for (const project of ['unit', 'nbd', 'hive', 'files', 'pg', 'mongo']) await part(project, () => suite(project));
await part('chaos', chaos);
await part('storms', () => storms('test/storms/main.ts', STORMS, '--jobs', '4'));
await part('protect: schedules', schedules);
await part('protect: storms', () => storms('test/protect-storms/main.ts', PROTECT_STORMS));
await part('relocate: boots', boots);
await part('relocate: model', () => storms('test/files/main.ts', FILE_RUNS, '--jobs', '4'));
await check('npm', ['run', 'demo', '--silent', '--', '--json'], 6 * 60_000);
await check('npm', ['run', 'demo:protect', '--silent', '--', '--json'], 6 * 60_000);
await check('npm', ['run', 'demo:relocate', '--silent', '--', '--json'], 4 * 60_000);
await check('npm', ['run', 'demo:remodel', '--silent', '--', '--json'], 8 * 60_000);
for (const failure of failures) process.stdout.write(`\n✗ ${failure}\n`);
process.stdout.write(`\n${parts.join('\n')}\n`);
process.stdout.write(`\n${totals.passed} passed, ${totals.failed} failed, ${totals.skipped} skipped\n`);
process.exitCode = totals.failed === 0 ? 0 : 1;
