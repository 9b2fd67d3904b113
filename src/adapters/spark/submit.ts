import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { GodwitError, throwIfAborted } from '../../kernel/errors.ts';
import { type Job, RUNNER } from './runner.ts';

export interface SparkOptions {
  /** Where Spark lies. Default: `SPARK_HOME` of the environment, else `spark-submit` on the PATH. */
  readonly sparkHome?: string;
  /** Default `local[*]`: this machine. Elsewhere the files and the temporary directory must be there too, on the same paths. */
  readonly master?: string;
  /** Memory of the driver, which is all there is with a local master, 2²⁰ bytes. Default 2048. */
  readonly memoryMb?: number;
  /** For the program, results and what Spark spills. Default: the system's directory for temporary files. */
  readonly tempDir?: string;
  /** More settings of Spark, by name. */
  readonly conf?: Readonly<Record<string, string>>;
}

const KEPT_LINES = 20;
const KEPT_CHARACTERS = 50_000;
/** After this, Spark is not asked any more. */
const PATIENCE_MS = 5000;

/**
 * Runs a job with `spark-submit` and waits for its end; `work` is a directory
 * of its own, which the caller removes. Throws GW1008 without a Spark, GW1009
 * with the last lines that Spark wrote when it failed.
 */
export async function submit(job: Job, work: string, options: SparkOptions, signal: AbortSignal): Promise<void> {
  throwIfAborted(signal);
  const [program, told] = [join(work, 'runner.py'), join(work, 'job.json')];
  await writeFile(program, RUNNER);
  await writeFile(told, JSON.stringify(job));
  const home = options.sparkHome ?? process.env['SPARK_HOME'];
  const file = home ? join(home, 'bin', 'spark-submit') : 'spark-submit';
  const child = spawn(file, [...settings(work, options), program, told], {
    cwd: work,
    env: environment(home, options),
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true, // a group of its own: Java, and the Python it starts, end together
  });
  const { code, said } = await ended(child, signal);
  throwIfAborted(signal);
  if (code !== 0) throw failure(code, said);
}

function settings(work: string, { master = 'local[*]', memoryMb = 2048, conf = {} }: SparkOptions): string[] {
  const all = {
    // Relative to where it runs: a comma in a path would make a list of two.
    'spark.local.dir': 'spill',
    'spark.sql.warehouse.dir': join(work, 'warehouse'),
    'spark.log.level': 'WARN',
    'spark.ui.enabled': 'false',
    'spark.ui.showConsoleProgress': 'false',
    'spark.sql.shuffle.partitions': '64',
    ...(isLocal(master) ? { 'spark.driver.host': '127.0.0.1', 'spark.driver.bindAddress': '127.0.0.1' } : {}),
    ...conf,
  };
  const flags = ['--master', master, '--driver-memory', `${memoryMb}m`, '--name', 'godwit'];
  return [...flags, ...Object.entries(all).flatMap(([name, value]) => ['--conf', `${name}=${value}`])];
}

function environment(home: string | undefined, { master = 'local[*]' }: SparkOptions): NodeJS.ProcessEnv {
  return {
    ...process.env,
    ...(home ? { SPARK_HOME: home } : {}),
    ...(isLocal(master) ? { SPARK_LOCAL_IP: '127.0.0.1' } : {}),
  };
}

function isLocal(master: string): boolean {
  return master.startsWith('local');
}

interface Ended {
  readonly code: number | string | null;
  /** The last lines of its output. What our program writes as errors comes on Java's standard output. */
  readonly said: readonly string[];
}

/** Waits until the process and its output have ended; a set signal, or our own end, ends its group. */
async function ended(child: ChildProcess, signal: AbortSignal): Promise<Ended> {
  const output = { out: '', err: '' };
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    output.out = (output.out + text).slice(-KEPT_CHARACTERS);
  });
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    output.err = (output.err + text).slice(-KEPT_CHARACTERS);
  });
  let timer: NodeJS.Timeout | undefined;
  const kill = () => endGroup(child, 'SIGKILL');
  const stop = () => {
    endGroup(child, 'SIGTERM');
    timer = setTimeout(kill, PATIENCE_MS);
  };
  process.once('exit', kill);
  signal.addEventListener('abort', stop, { once: true });
  if (signal.aborted) stop();
  try {
    const [code, by] = (await once(child, 'close')) as [number | null, string | null];
    return { code: code ?? by, said: [...lastLines(output.err), ...lastLines(output.out)] };
  } catch (error) {
    throw notHere(child.spawnfile, error);
  } finally {
    clearTimeout(timer);
    process.off('exit', kill);
    signal.removeEventListener('abort', stop);
  }
}

function endGroup({ pid }: ChildProcess, how: NodeJS.Signals): void {
  if (pid === undefined) return; // it was never started
  try {
    process.kill(-pid, how);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

function notHere(file: string, error: unknown): GodwitError {
  const { code } = error as NodeJS.ErrnoException;
  return new GodwitError('GW1008', `${file} cannot be started: ${code}`, {
    details: { engine: 'spark', file },
    cause: error,
  });
}

function lastLines(text: string): readonly string[] {
  const lines = text.split('\n').filter((line) => line.trim() !== '');
  return lines.slice(-KEPT_LINES);
}

/** The line that says most stands in the message, the last ones in the details. */
function failure(code: number | string | null, said: readonly string[]): GodwitError {
  const telling =
    said.findLast((line) => line.startsWith('godwit: ')) ??
    said.findLast((line) => /Error\b|Exception\b|JAVA_HOME/.test(line) && !line.includes('SparkUserAppException')) ??
    said.at(-1);
  const message = `Spark ended with ${code}: ${(telling ?? 'it wrote nothing').trim().slice(0, 500)}`;
  return new GodwitError('GW1009', message, { details: { engine: 'spark', said } });
}
