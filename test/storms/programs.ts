/**
 * The programs of a storm as plain JavaScript, compiled once: a process that is
 * killed every second must be back at once, and loading TypeScript takes it longer
 * than all of its work.
 */
import { copyFileSync, mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ProcessGuard } from '../servers/process-guard.ts';
import { runCommand } from '../servers/run-command.ts';

export interface Programs {
  /** Of everything that runs them, where something must not be left when we are killed ourselves. */
  readonly guard?: ProcessGuard;
  readonly application: string;
  /** The `godwit` command. */
  readonly cli: string;
  /** Gives many commands, one after the other. */
  readonly commands: string;
  /** What the application wrote down with `defineMigration`. */
  readonly definition: string;
  /** What Node needs to load them. */
  readonly nodeFlags: readonly string[];
}

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const SOURCES: Readonly<Record<'application' | 'cli' | 'commands' | 'definition', string>> = {
  application: 'test/storms/application',
  cli: 'src/cli/main',
  commands: 'test/storms/commands',
  definition: 'test/e2e/remodel/subscriptions.fixture',
};

/** The same programs as they are written. The text of a definition counts: all processes of one remodel use the same of the two. */
export function sourcePrograms(): Programs {
  const at = (source: string) => join(ROOT, `${source}.ts`);
  const { application, cli, commands, definition } = SOURCES;
  return {
    application: at(application),
    cli: at(cli),
    commands: at(commands),
    definition: at(definition),
    nodeFlags: ['--import', 'tsx'],
  };
}

/** Inside the repository, where packages are found. To be closed by its guard. */
export async function compilePrograms(): Promise<Programs & { readonly guard: ProcessGuard }> {
  const parent = join(ROOT, '.godwit');
  mkdirSync(parent, { recursive: true });
  const outDir = mkdtempSync(join(parent, 'storms-'));
  const guard = new ProcessGuard(outDir);
  const project = {
    extends: join(ROOT, 'tsconfig.json'),
    compilerOptions: { noEmit: false, noCheck: true, declaration: false, outDir, rootDir: ROOT },
    files: Object.values(SOURCES).map((source) => join(ROOT, `${source}.ts`)),
    include: [],
  };
  writeFileSync(join(outDir, 'tsconfig.json'), JSON.stringify(project));
  copyFileSync(join(ROOT, 'package.json'), join(outDir, 'package.json'));
  const tsc = join(ROOT, 'node_modules/typescript/bin/tsc');
  const { code, stdout, stderr } = await runCommand(process.execPath, [tsc, '--project', outDir]);
  if (code !== 0) {
    await guard.close();
    throw new Error(`the programs of a storm do not compile: ${stdout}${stderr}`);
  }
  const at = (source: string) => join(outDir, `${source}.js`);
  const { application, cli, commands, definition } = SOURCES;
  return {
    application: at(application),
    cli: at(cli),
    commands: at(commands),
    definition: at(definition),
    nodeFlags: [],
    guard,
  };
}
