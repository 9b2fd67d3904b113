import { existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { MigrateStatus, RunEvent } from '../../src/routes/migrate/api.ts';
import { type MeasuredExit, MeasuredProcess } from './measured-process.ts';

const DIST = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));
const SRC = fileURLToPath(new URL('../../src', import.meta.url));

/** The built command; `GODWIT_CLI` names another build. An old build would be measured for the new one: refused. */
export function godwitCli(): string {
  const named = process.env['GODWIT_CLI'];
  const path = named ?? DIST;
  if (!existsSync(path)) throw new Error(`${path} does not exist: run "npm run build" first`);
  if (named === undefined && statSync(path).mtimeMs < newestOf(SRC)) {
    throw new Error('dist/ is older than src/: run "npm run build" first');
  }
  return path;
}

function newestOf(dir: string): number {
  const files = readdirSync(dir, { recursive: true, withFileTypes: true });
  const sources = files.filter(
    (file) => file.isFile() && /\.ts$/.test(file.name) && !/\.test(-support)?\.ts$/.test(file.name),
  );
  return Math.max(...sources.map((file) => statSync(join(file.parentPath, file.name)).mtimeMs));
}

export interface GodwitEvent {
  readonly atMs: number;
  readonly kind: string;
  readonly data: Readonly<Record<string, unknown>>;
}

/** `godwit migrate … --json`, measured, with what it tells. */
export class GodwitProcess {
  readonly events: GodwitEvent[] = [];
  /** The last status told. */
  status: MigrateStatus | undefined;
  /** When the first status came, in `performance.now()`. */
  firstStatusMs: number | undefined;
  /** The one answer of commands other than `run`. */
  answer: Readonly<Record<string, unknown>> | undefined;
  readonly process: MeasuredProcess;

  constructor(
    args: readonly string[],
    options: { readonly nodeFlags?: readonly string[]; readonly onStatus?: (status: MigrateStatus) => void } = {},
  ) {
    const take = (text: string): void => {
      const line = parse(text);
      if (line === undefined) return;
      if (line['type'] === 'status') {
        this.firstStatusMs ??= performance.now();
        this.status = (line as unknown as Extract<RunEvent, { type: 'status' }>).status;
        options.onStatus?.(this.status);
      } else if (line['type'] === 'event') {
        const event = line as unknown as Extract<RunEvent, { type: 'event' }>;
        this.events.push({ atMs: Date.parse(event.at), kind: event.kind, data: event.data });
      } else this.answer = line;
    };
    this.process = new MeasuredProcess(
      [process.execPath, ...(options.nodeFlags ?? []), godwitCli(), 'migrate', ...args, '--json'],
      { onLine: take },
    );
  }

  /** Waits for its end; throws when it failed. */
  async end(): Promise<MeasuredExit> {
    const exit = await this.process.exited;
    if (exit.code !== 0) {
      throw new Error(`godwit ended with ${exit.code}:\n${this.process.tail}\n${JSON.stringify(this.answer ?? {})}`);
    }
    return exit;
  }

  /** Asks it to stop where it is, which is no failure. */
  async stop(): Promise<MeasuredExit> {
    return this.process.stop('SIGINT');
  }

  /** Waits until it tells a status that fits; throws when it ends before. */
  async until(fits: (status: MigrateStatus) => boolean, timeoutMs: number): Promise<void> {
    const deadline = performance.now() + timeoutMs;
    while (this.status === undefined || !fits(this.status)) {
      if (!this.process.running) await this.end().then(() => Promise.reject(new Error('godwit ended too early')));
      if (performance.now() > deadline) throw new Error(`godwit did not get there: ${JSON.stringify(this.status)}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  /** Seconds between two events, each at its first; undefined when one did not come. */
  secondsBetween(from: string, to: string): number | undefined {
    const [a, b] = [from, to].map((kind) => this.events.find((event) => event.kind === kind)?.atMs);
    return a === undefined || b === undefined ? undefined : (b - a) / 1000;
  }
}

function parse(text: string): Record<string, unknown> | undefined {
  try {
    return JSON.parse(text) as Record<string, unknown>;
  } catch {
    return undefined;
  }
}
