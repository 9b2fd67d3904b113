/** The `godwit` command as a child process: what tests drive is what people run. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { appendFile } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

export interface GodwitExit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** One line of `run --json`, or the one answer of another command. */
export type GodwitLine = Readonly<Record<string, unknown>>;

const KEPT_LINES = 40;
const alive = new Set<ChildProcess>();
process.on('exit', () => {
  for (const child of alive) child.kill('SIGKILL');
});

/** Where the built command is; GODWIT_CLI overrides it, to try another build. */
function cliPath(): string {
  const path = process.env['GODWIT_CLI'] ?? fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));
  if (!existsSync(path)) throw new Error(`${path} does not exist: run "npm run build" first`);
  return path;
}

/** A started `godwit`. */
export class GodwitProcess {
  /** Resolves when it has ended and its output was read. */
  readonly exited: Promise<GodwitExit>;
  readonly #child: ChildProcess;
  readonly #tail: string[] = [];
  #phase: string | undefined;
  #lastLine: GodwitLine | undefined;

  constructor(
    args: readonly string[],
    options: {
      readonly logPath?: string;
      readonly env?: Readonly<Record<string, string>>;
      readonly onLine?: (line: GodwitLine) => void;
    } = {},
  ) {
    const child = spawn(process.execPath, [cliPath(), ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...options.env },
    });
    this.#child = child;
    alive.add(child);
    const log = (text: string): void => {
      if (options.logPath !== undefined) void appendFile(options.logPath, `${text}\n`).catch(() => {});
    };
    log(`\n=== godwit ${args.join(' ')} (pid ${child.pid}) ${JSON.stringify(options.env ?? {})}`);
    const read = (stream: NodeJS.ReadableStream, take: (line: string) => void): Promise<unknown> => {
      const lines = createInterface({ input: stream });
      lines.on('line', take);
      return once(lines, 'close');
    };
    const out = read(child.stdout as NodeJS.ReadableStream, (text) => {
      const line = parse(text);
      if (line === undefined) this.#keep(text);
      else this.#take(line, options.onLine);
      if (line?.['type'] !== 'status') log(text);
    });
    const err = read(child.stderr as NodeJS.ReadableStream, (text) => {
      this.#keep(text);
      log(`stderr: ${text}`);
    });
    this.exited = once(child, 'exit').then(async ([code, signal]) => {
      alive.delete(child);
      await Promise.all([out, err]);
      log(`=== ended: code ${String(code)}, signal ${String(signal)}`);
      return { code, signal } as GodwitExit;
    });
  }

  get running(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** The last phase it told, by `run --json`. */
  get phase(): string | undefined {
    return this.#phase;
  }

  /** The last JSON line other than a status. */
  get answer(): GodwitLine | undefined {
    return this.#lastLine;
  }

  /** What it said last, for messages. */
  get tail(): string {
    return [...this.#tail, ...(this.#lastLine === undefined ? [] : [JSON.stringify(this.#lastLine)])].join('\n');
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  async kill(): Promise<GodwitExit> {
    this.#child.kill('SIGKILL');
    return this.exited;
  }

  #take(line: GodwitLine, onLine: ((line: GodwitLine) => void) | undefined): void {
    const status = line['status'] as { phase?: string } | undefined;
    if (line['type'] === 'status') this.#phase = status?.phase ?? this.#phase;
    else this.#lastLine = line;
    onLine?.(line);
  }

  #keep(text: string): void {
    this.#tail.push(text);
    if (this.#tail.length > KEPT_LINES) this.#tail.shift();
  }
}

/** Runs a command to its end. */
export async function runGodwit(
  args: readonly string[],
  options: {
    readonly logPath?: string;
    readonly env?: Readonly<Record<string, string>>;
    readonly timeoutMs?: number;
  } = {},
): Promise<GodwitExit & { readonly answer: GodwitLine | undefined; readonly tail: string }> {
  const godwit = new GodwitProcess(args, options);
  const timer = setTimeout(() => godwit.signal('SIGKILL'), options.timeoutMs ?? 120_000);
  const exit = await godwit.exited;
  clearTimeout(timer);
  return { ...exit, answer: godwit.answer, tail: godwit.tail };
}

function parse(text: string): GodwitLine | undefined {
  if (!text.startsWith('{')) return undefined;
  try {
    return JSON.parse(text) as GodwitLine;
  } catch {
    return undefined;
  }
}
