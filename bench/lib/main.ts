import { writeFileSync } from 'node:fs';
import { type ParseArgsConfig, parseArgs } from 'node:util';
import { note } from './print.ts';

/** The options of a benchmark, as they stand on the command line. */
export class Flags {
  readonly #values: Readonly<Record<string, unknown>>;

  constructor(config: NonNullable<ParseArgsConfig['options']>) {
    this.#values = parseArgs({ options: config, allowPositionals: false }).values;
  }

  text(name: string): string | undefined {
    return this.#values[name] as string | undefined;
  }

  isOn(name: string): boolean {
    return this.#values[name] === true;
  }

  /** `a,b` as a list; undefined when absent. */
  list(name: string): string[] | undefined {
    return this.text(name)
      ?.split(',')
      .map((each) => each.trim());
  }

  /** Words of one text, for flags handed on to a program. */
  words(name: string): string[] {
    return (this.text(name) ?? '').split(/\s+/).filter((word) => word !== '');
  }

  number(name: string, preset: number): number {
    const text = this.text(name);
    if (text === undefined) return preset;
    const value = Number(text.replaceAll('_', ''));
    if (!Number.isFinite(value) || value <= 0) throw new Error(`--${name} needs a number above zero, not ${text}`);
    return value;
  }

  /** Everything that was said, for the record. */
  get all(): Readonly<Record<string, unknown>> {
    return this.#values;
  }
}

/**
 * Runs a benchmark. Signals end the process by `exit`, so that the handlers
 * which kill servers and rivals and remove their directories run.
 */
export async function runMain(work: () => Promise<void>): Promise<void> {
  process.on('SIGINT', () => process.exit(130));
  process.on('SIGTERM', () => process.exit(143));
  try {
    await work();
    process.exit(0);
  } catch (error) {
    note(error instanceof Error ? (error.stack ?? error.message) : String(error));
    process.exit(1);
  }
}

/** Writes the results of `--json FILE`, if it was asked for. */
export function saveJson(file: string | undefined, results: unknown): void {
  if (file === undefined) return;
  writeFileSync(file, `${JSON.stringify(results, undefined, 2)}\n`);
  note(`results are in ${file}`);
}
