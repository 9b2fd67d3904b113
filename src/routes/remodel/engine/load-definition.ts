/** Loads what an application wrote down with `defineMigration`. */
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { GodwitError } from '../../../kernel/errors.ts';
import type { Model } from '../../../kernel/remodel/index.ts';

/**
 * The model of a file; `name` says which where it exports several.
 * @throws GodwitError GW1001 when there is none, GW1006 when a definition in it is not valid.
 */
export async function loadDefinition(file: string, name: string | undefined): Promise<Model> {
  const models = modelsIn(await importFile(file));
  const wanted = name === undefined ? models : models.filter((model) => model.name === name);
  const [only] = wanted;
  if (only !== undefined && wanted.length === 1) return only;
  const names = models.map((model) => model.name).join(', ');
  if (models.length === 0) throw wrong(file, `${file} exports nothing that defineMigration made`);
  if (only === undefined) throw wrong(file, `${file} has no definition ${name}, only ${names}`);
  throw wrong(file, `${file} has several definitions: say which by --remodel (${names})`);
}

async function importFile(file: string): Promise<Record<string, unknown>> {
  const path = resolve(file);
  if (!existsSync(path)) throw wrong(file, `--definition: ${file} does not exist`);
  try {
    return (await import(pathToFileURL(path).href)) as Record<string, unknown>;
  } catch (error) {
    if (error instanceof GodwitError) throw error;
    if ((error as NodeJS.ErrnoException).code === 'ERR_UNKNOWN_FILE_EXTENSION')
      throw wrong(
        file,
        `This Node cannot run TypeScript: compile ${file} and give the .js file, or run \`node --import tsx\` before the path of godwit, with tsx installed`,
        error,
      );
    // Another copy of the library throws another class.
    if ((error as { code?: unknown }).code === 'GW1006')
      throw new GodwitError('GW1006', (error as Error).message, { cause: error });
    throw wrong(file, `${file} cannot be loaded: ${error instanceof Error ? error.message : String(error)}`, error);
  }
}

function modelsIn(module: Record<string, unknown>): readonly Model[] {
  const values = Object.values(module).flatMap((value) => (Array.isArray(value) ? (value as unknown[]) : [value]));
  return [...new Set(values)].filter(isModel);
}

/** By its properties: the file may use another copy of the library than the command. */
function isModel(value: unknown): value is Model {
  if (typeof value !== 'object' || value === null) return false;
  const { name, up, down, isLossy, root, from } = value as Partial<Record<keyof Model, unknown>>;
  return (
    typeof name === 'string' &&
    typeof root === 'string' &&
    typeof from === 'object' &&
    [up, down, isLossy].every((part) => typeof part === 'function')
  );
}

function wrong(file: string, message: string, cause?: unknown): GodwitError {
  return new GodwitError('GW1001', message, { details: { definition: file }, cause });
}
